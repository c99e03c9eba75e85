#!/bin/sh
# Checks an evidence bundle 核验离线证据包
#
#     sh verify.sh --policy FILE [--tsa-ca FILE] [DIR]      keys you trust, from a file that did not come with the bundle
#     sh verify.sh --trust-bag [--tsa-ca FILE] [DIR]        keys from the bundle: proves only that it agrees with itself
#
# Needs a POSIX shell, openssl 3, jq and GNU coreutils; nothing else is called. The steps are those of verify_bundle.py.
# SM2 signatures (profile gm) are not checked here; each entry's Ed25519 signature is.
#
# Exit 0: something was checked and all of it is right. 1: something is not as recorded. 2: could not check.

set -u
LC_ALL=C
export LC_ALL
umask 077
bad=0 unsure=0 entries=0 policy='' trust=no tsa=''

say() { printf '%s\n' "$*"; }

fault() { # WORD WHERE WHY
    say "$(printf %s "$1: $2: $3" | tr '\001-\037\177' '?')" # no name moves the cursor or adds a line
    case $1 in
    unreadable | unchecked | unparsable | nothing-checked) unsure=1 ;;
    *) bad=1 ;;
    esac
}

finish() {
    [ "$entries" -gt 0 ] || fault nothing-checked . 'no entry was checked'
    code=0 word='OK 全部一致'
    [ "$unsure" = 0 ] || { code=2 word='COULD NOT CHECK 无法核验'; }
    [ "$bad" = 0 ] || { code=1 word='NOT AS RECORDED 与记录不符'; }
    say "$word: $entries entries"
    [ -z "${work:-}" ] || rm -rf "$work"
    trap - EXIT
    exit "$code"
}

give_up() {
    fault "$@"
    finish
}

while [ $# -gt 0 ]; do
    case $1 in
    --policy) policy=${2:-} && shift ;;
    --tsa-ca) tsa=${2:-} && shift ;;
    --trust-bag) trust=yes ;;
    -*) give_up unchecked "$1" 'no such option' ;;
    *) folder=$1 ;;
    esac
    shift
done
case ${policy:+policy}$trust in
policyno) policy=$(realpath "$policy") || give_up unreadable policy 'no such file' ;;
yes) say 'remark 说明: the policy is the bundle'"'"'s own (--trust-bag) 策略取自证据包本身，未经独立核对' ;;
*) give_up unchecked policy 'give --policy FILE, or --trust-bag, one of them' ;;
esac
[ -z "$tsa" ] || tsa=$(realpath "$tsa") || give_up unreadable --tsa-ca 'no such file'
cd "${folder:-.}" || give_up unreadable "${folder:-.}" 'no such folder'
[ "$trust" = no ] || policy=policy.txt
for tool in openssl jq sha256sum basenc od; do
    command -v "$tool" >/dev/null || give_up unchecked "$tool" 'is not installed'
done
work=$(mktemp -d) || give_up unchecked tmp 'no temporary folder'
trap 'rm -rf "$work"; exit 2' EXIT HUP INT TERM
mkdir "$work/notes"

# Small tools ---------------------------------------------------------------------------------------------------------

hex() { od -An -v -tx1 | tr -d ' \n'; }
unhex() { tr a-f A-F | basenc -d --base16; }
digest() { sha256sum | cut -c1-64; }
node() { printf '01%s%s' "$1" "$2" | unhex | digest; }
made() { # KEY.der SIGNATURE MESSAGE
    openssl pkeyutl -verify -pubin -keyform DER -inkey "$1" -rawin -in "$3" -sigfile "$2" >/dev/null 2>&1
}
strict_base64() { # STRING: succeeds if it is the one spelling of its bytes
    [ "$(printf %s "$1" | base64 -d 2>/dev/null | base64 -w0)" = "$1" ]
}
holds_line() { # LINE FILE
    while IFS= read -r one; do
        [ "$one" = "$1" ] && return 0
    done <"$2"
    return 1
}

# 0. The policy -------------------------------------------------------------------------------------------------------
# keys: one line a key: type, name, key hash, keyid, file, name in the policy

: >"$work/keys"
: >"$work/groups"
: >"$work/spans"
: >"$work/approved"
quorum=''
take_key() { # VKEY NAME-IN-POLICY
    name=${1%%+*} rest=${1#*+}
    hint=${rest%%+*} blob=${rest#*+}
    count=$((${count:-0} + 1))
    strict_base64 "$blob" || give_up unparsable policy "the key of $name"
    printf %s "$blob" | base64 -d >"$work/blob"
    [ "$( { printf '%s\n' "$name"; cat "$work/blob"; } | sha256sum | cut -c1-8)" = "$hint" ] ||
        give_up unparsable policy "the key of $name is not as its hash says"
    kind=$(head -c1 "$work/blob" | hex)
    tail -c +2 "$work/blob" >"$work/raw"
    [ "$kind" != ff ] || { say "remark 说明: $name: a key of another suite than Ed25519 is not used here" && return; }
    [ "$(stat -c%s "$work/raw")" = 32 ] || give_up unparsable policy "the key of $name"
    { printf '302a300506032b6570032100' | unhex && cat "$work/raw"; } >"$work/$count.der"
    keyid=$(sha256sum <"$work/raw" | cut -c1-16)
    say "$kind $name $hint $keyid $work/$count.der $2" >>"$work/keys"
}
take_log() { # VKEY: the first key of a log signs from its beginning, those further down may follow
    keyid=''
    take_key "$1" -
    [ -n "$keyid" ] || return 0
    if [ -n "$(signs "$name" 0)" ]; then
        say "$name $1" >>"$work/approved"
    else
        say "$name 0 $keyid $1" >>"$work/spans"
    fi
}
signs() { # LOG SEQ: key id of the key whose signature that entry needs
    needed=''
    while read -r of_log from of_key _; do
        [ "$of_log" = "$1" ] && { [ "$from" -le "$2" ] || [ "$from" = 0 ]; } && needed=$of_key
    done <"$work/spans"
    say "$needed"
}

[ -r "$policy" ] || give_up unreadable "$policy" 'there is no policy'
while read -r word first second more; do
    case $word in
    '' | '#'*) ;;
    log) take_log "$first" ;;
    witness) take_key "$second" "$first" ;;
    group) say "$first $second $more" >>"$work/groups" ;;
    quorum) quorum=$first ;;
    *) give_up unparsable policy "$word is no policy word" ;;
    esac
done <"$policy"
[ -n "$quorum" ] || give_up unchecked policy 'it names no quorum'
centre=''
while read -r kind name _; do
    case $kind$name in 01*/centre)
        [ -z "$centre" ] || [ "$centre" = "$name" ] || give_up unchecked policy 'it names two logs that end in /centre'
        centre=$name
        ;;
    esac
done <"$work/keys"
[ -n "$centre" ] || give_up unchecked policy 'it names no log that ends in /centre'

enough() { # NAME SIGNED-WITNESSES: whether a witness signed, or enough of a group
    case $1 in none) return 0 ;; esac
    case " $2 " in *" $1 "*) return 0 ;; esac
    while read -r group least members; do
        [ "$group" = "$1" ] || continue
        set -- "$1" "$2" 0
        for member in $members; do
            (enough "$member" "$2") && set -- "$1" "$2" $(($3 + 1)) "$least" "$members"
        done
        case $least in any) least=1 ;; all) least=$(printf '%s\n' "$members" | wc -w) ;; esac
        [ "$3" -ge "$least" ] && return 0 || return 1
    done <"$work/groups"
    return 1
}

# 1. Manifests and their signatures -----------------------------------------------------------------------------------

every_file() { # FOLDER: what is neither a folder nor . and ..
    for one in "$1"/* "$1"/.[!.]* "$1"/..?*; do
        if [ -h "$one" ]; then
            fault unparsable "$one" 'a symbolic link' >&2
            say "${one#./}"
        elif [ -d "$one" ]; then
            (every_file "$one")
        elif [ -e "$one" ]; then
            say "${one#./}"
        fi
    done
}

manifest_form() { # FILE REGEX
    jq -Rse --arg form "$2" \
        'endswith("\n") and (split("\n")[:-1] | length > 0 and all(.[]; test($form)))' <"$1" >/dev/null 2>&1
}

sshsig_of() { # MESSAGE RAW-KEY SIGNATURE: the file that ssh-keygen would have made
    {
        printf SSHSIG
        printf '00000001000000330000000b' | unhex
        printf ssh-ed25519
        printf '00000020' | unhex
        cat "$2"
        printf '0000000a' | unhex
        printf bwc-bundle
        printf '0000000000000006' | unhex
        printf sha512
        printf '000000530000000b' | unhex
        printf ssh-ed25519
        printf '00000040' | unhex
        cat "$3"
    } | base64 -w70 >"$work/ssh.body"
    printf '%s\n' '-----BEGIN SSH SIGNATURE-----'
    cat "$work/ssh.body"
    printf '%s\n' '-----END SSH SIGNATURE-----'
}

tags=tagmanifest-sha256.txt
for file in $tags $tags.ed25519 $tags.sshsig manifest-sha256.txt bagit.txt export.json; do
    [ -f "$file" ] || give_up missing "$file" 'a bundle has one'
done
raw_good=no ssh_good=no
{
    printf SSHSIG
    printf '0000000a' | unhex
    printf bwc-bundle
    printf '0000000000000006' | unhex
    printf sha512
    printf '00000040' | unhex
    openssl dgst -sha512 -binary $tags
} >"$work/ssh.signed"
head -n -1 $tags.sshsig | tail -n +2 | base64 -d 2>/dev/null | tail -c 64 >"$work/ssh.sig"
while read -r kind name _ _ der _; do
    [ "$kind $name" = "01 $centre" ] || continue
    made "$der" $tags.ed25519 $tags && raw_good=yes
    tail -c 32 "$der" >"$work/raw"
    sshsig_of $tags "$work/raw" "$work/ssh.sig" >"$work/ssh.expected"
    cmp -s "$work/ssh.expected" $tags.sshsig && made "$der" "$work/ssh.sig" "$work/ssh.signed" && ssh_good=yes
done <"$work/keys"
[ $raw_good = yes ] || fault sig-bad $tags.ed25519 'the centre'"'"'s key did not sign the tag manifest'
[ $ssh_good = yes ] || fault sig-bad $tags.sshsig 'the centre'"'"'s key did not sign the tag manifest'

for file in $tags manifest-sha256.txt; do
    manifest_form $file '^[0-9a-f]{64}  [A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$' ||
        give_up unparsable $file 'lines of a SHA-256, two spaces and a path are needed'
    sha256sum --strict --quiet -c $file 2>/dev/null >"$work/sums" || {
        while IFS= read -r line; do fault failed "${line%%: *}" 'not as listed'; done <"$work/sums"
        [ -s "$work/sums" ] || fault missing $file 'files that it lists cannot be read'
    }
done
every_file . >"$work/found" 2>"$work/links"
[ ! -s "$work/links" ] || { cat "$work/links" && unsure=1; }
{ cut -c67- $tags && cut -c67- manifest-sha256.txt && say $tags && say $tags.ed25519 && say $tags.sshsig; } >"$work/listed"
sort "$work/found" >"$work/found.sorted"
sort "$work/listed" >"$work/listed.sorted"
uniq -d "$work/listed.sorted" >"$work/twice"
while IFS= read -r one; do fault unparsable "$one" 'listed twice'; done <"$work/twice"
comm -13 "$work/found.sorted" "$work/listed.sorted" >"$work/gone"
comm -23 "$work/found.sorted" "$work/listed.sorted" >"$work/extra"
while IFS= read -r one; do fault missing "$one" 'listed, but not in the bundle'; done <"$work/gone"
while IFS= read -r one; do fault unrecorded "$one" 'in the bundle, but not listed'; done <"$work/extra"
printf 'BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n' | cmp -s - bagit.txt ||
    fault unparsable bagit.txt 'not the declaration of a BagIt 1.0 bag'

if [ -f SM3SUMS ] && ! manifest_form SM3SUMS '^SM3 \([A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*\) = [0-9a-f]{64}$'; then
    fault unparsable SM3SUMS 'lines SM3 (path) = digest are needed'
elif [ -f SM3SUMS ]; then
    : >"$work/sm3.names"
    while read -r _ path _ sum; do
        path=${path#?} path=${path%?}
        say "$path" >>"$work/sm3.names"
        [ "$(openssl dgst -sm3 -r <"$path" 2>/dev/null | cut -c1-64)" = "$sum" ] || fault failed "$path" 'its SM3 differs'
    done <SM3SUMS
    cut -c67- manifest-sha256.txt | sort >"$work/payload.names"
    sort "$work/sm3.names" | cmp -s - "$work/payload.names" || fault unparsable SM3SUMS 'not the files of the manifest'
fi

# 2. Checkpoints, 3. inclusion, 4. signatures -------------------------------------------------------------------------

judge_note() { # NOTE VERDICT-FILE: writes origin, size, hex root; or nothing
    : >"$2"
    jq -Rse 'test("^[^\n]+\n(0|[1-9][0-9]{0,15})\n[A-Za-z0-9+/]{43}=\n\n(\u2014 [^ +\n]+ [A-Za-z0-9+/]+=*\n)+$")' \
        <"$1" >/dev/null 2>&1 || { fault unparsable "$3" 'not a checkpoint' && return; }
    head -n 3 "$1" >"$work/body"
    { read -r origin && read -r size && read -r root; } <"$work/body"
    by_log=no signed='' note_bad=no
    tail -n +5 "$1" >"$work/lines"
    while read -r _ signer blob; do
        strict_base64 "$blob" || { fault unparsable "$3" "the signature of $signer" && note_bad=yes && continue; }
        printf %s "$blob" | base64 -d >"$work/blob"
        hint=$(head -c4 "$work/blob" | hex)
        while read -r kind name key_hint key_id der known_as; do
            [ "$name $key_hint" = "$signer $hint" ] || continue
            case $kind in
            01) cp "$work/body" "$work/message" && tail -c +5 "$work/blob" >"$work/sig" ;;
            *)
                time=$((0x$(tail -c +5 "$work/blob" | head -c8 | hex)))
                { printf 'cosignature/v1\ntime %d\n' "$time" && cat "$work/body"; } >"$work/message"
                tail -c +13 "$work/blob" >"$work/sig"
                ;;
            esac
            made "$der" "$work/sig" "$work/message" || { fault sig-bad "$3" "the signature of $signer" && note_bad=yes; }
            case $kind in
            01)
                case " $(signs "$origin" $((size - 1))) $(signs "$origin" "$size") " in
                *" $key_id "*) [ "$name" = "$origin" ] && by_log=yes ;;
                esac
                ;;
            *) signed="$signed $known_as" ;;
            esac
        done <"$work/keys"
    done <"$work/lines"
    [ $by_log = yes ] || { fault key-unknown "$3" "no key of that time signed the checkpoint of $origin" && return; }
    enough "$quorum" "$signed" || { fault key-unknown "$3" "the quorum $quorum did not cosign" && return; }
    [ $note_bad = no ] && say "$origin $size $(printf %s "$root" | base64 -d | hex)" >"$2"
}

climb() { # LEAF INDEX SIZE < hex hashes, one a line: prints the root (RFC 9162 2.1.3.2), or nothing
    at=$1 index=$2 last=$(($3 - 1))
    [ "$index" -le "$last" ] || return
    while read -r sibling; do
        [ "$last" -gt 0 ] && [ ${#sibling} = 64 ] || return
        if [ $((index & 1)) = 1 ] || [ "$index" = "$last" ]; then
            at=$(node "$sibling" "$at")
            while [ $((index & 1)) = 0 ] && [ "$index" -gt 0 ]; do index=$((index >> 1)) last=$((last >> 1)); done
        else
            at=$(node "$at" "$sibling")
        fi
        index=$((index >> 1)) last=$((last >> 1))
    done
    [ "$last" = 0 ] && say "$at"
}

hex_lines() { # base64 lines to hex lines; a line that is not strict becomes "bad"
    while read -r line; do
        if strict_base64 "$line"; then say "$(printf %s "$line" | base64 -d | hex)"; else say bad; fi
    done
}

check_entry() { # FILE
    where=${1#custody/} && where=${where%.dsse.json}
    proof=proofs/$where.tlog-proof
    [ -f "$proof" ] || { fault missing "$1" 'an entry without its proof' && return; }
    jq -cSj . "$1" 2>/dev/null | cmp -s - "$1" || { fault unparsable "$1" 'not an envelope in canonical form' && return; }
    jq -r '.payloadType, .payload, (.signatures[] | "\(.keyid) \(.sig)")' "$1" >"$work/envelope" 2>/dev/null ||
        { fault unparsable "$1" 'not an envelope' && return; }
    { IFS= read -r type && IFS= read -r payload && cat >"$work/signatures"; } <"$work/envelope"
    [ "$type" = application/vnd.bwc.custody.v1+json ] || { fault sig-bad "$1" 'nothing of ours was signed' && return; }
    strict_base64 "$payload" || { fault unparsable "$1" 'payload' && return; }
    printf %s "$payload" | base64 -d >"$work/payload"
    place=$(jq -r 'select(.type == "bwc.custody/v1") | select((.seq | type) == "number" and (.time.utc_ms | type) == "number")
        | "\(.log) \(.seq) \(.event) \(.prev)"' "$work/payload" 2>/dev/null)
    [ -n "$place" ] || { fault unparsable "$1" 'the head of the record' && return; }
    read -r log seq event prev <<EOT
$place
EOT
    # 3. inclusion
    head -n 1 "$proof" | cmp -s - "$work/proof.head" || { fault unparsable "$proof" 'not a proof' && return; }
    head_lines=0
    while IFS= read -r line && [ -n "$line" ]; do head_lines=$((head_lines + 1)); done <"$proof"
    head -n $head_lines "$proof" | tail -n +2 >"$work/proof.lines"
    tail -n +$((head_lines + 2)) "$proof" >"$work/note"
    word='' index=''
    read -r word index <"$work/proof.lines"
    [ "$word $index" = "index $seq" ] || { fault seq-gap "$1" "the record has number $seq, the proof $index" && return; }
    [ "$where" = "$log/$(printf %09d "$seq")" ] || { fault seq-gap "$1" 'it is not at the place of its number' && return; }
    note=$work/notes/$(digest <"$work/note")
    [ -f "$note" ] || judge_note "$work/note" "$note" "$proof"
    [ -s "$note" ] || { fault root-mismatch "$1" 'its checkpoint does not count' && return; }
    read -r origin size root <"$note"
    [ "$origin" = "$log" ] || { fault log-forked "$1" "the record belongs to $log, the proof to $origin" && return; }
    leaf=$({ printf '\0' && cat "$1"; } | digest)
    tail -n +2 "$work/proof.lines" | hex_lines >"$work/path"
    [ "$(climb "$leaf" "$seq" "$size" <"$work/path")" = "$root" ] ||
        { fault root-mismatch "$1" 'the inclusion proof does not lead to the root' && return; }
    # 4. signatures
    entry_pae
    signed_by "$log" "$(signs "$log" "$seq")"
    case $? in
    0) ;;
    1) fault sig-bad "$1" 'not signed by the key of its log' && return ;;
    *) fault key-unknown "$1" 'no key of its log signed at this place' && return ;;
    esac
    entries=$((entries + 1))
    take_record "$1"
}

entry_pae() { # from $type and $work/payload
    { printf 'DSSEv1 %d %s %d ' ${#type} "$type" "$(stat -c%s "$work/payload")" && cat "$work/payload"; } >"$work/pae"
}

signed_by() { # LOG KEYID: 0 every signature by that key fits $work/pae, 1 one does not, 2 there is none
    ours=2
    while read -r kind name _ keyid der _; do
        [ "$kind $name $keyid" = "01 $1 $2" ] || continue
        while read -r named sig; do
            [ "$named" = "$keyid" ] || continue
            ours=0
            strict_base64 "$sig" || return 1
            printf %s "$sig" | base64 -d >"$work/sig"
            made "$der" "$work/sig" "$work/pae" || return 1
        done <"$work/signatures"
    done <"$work/keys"
    return $ours
}

succeed() { # LOG: the keys that followed, each by an entry that the one before it signed
    for entry in custody/"$1"/*.dsse.json; do
        [ -f "$entry" ] || continue
        jq -r '.payloadType, (.signatures[] | "\(.keyid) \(.sig)")' "$entry" >"$work/envelope" 2>/dev/null || continue
        { IFS= read -r type && cat >"$work/signatures"; } <"$work/envelope"
        jq -rj .payload "$entry" 2>/dev/null | base64 -d >"$work/payload" 2>/dev/null || continue
        place=$(jq -r --arg log "$1" 'select(.event == "key.enrolled" and .log == $log)
            | select(.key.vkey | startswith($log + "+")) | "\(.seq) \(.key.vkey)"' "$work/payload" 2>/dev/null)
        [ -n "$place" ] || continue
        next_seq=${place%% *} next_vkey=${place#* }
        entry_pae
        signed_by "$1" "$(signs "$1" "$next_seq")" ||
            { fault key-unknown "$entry" 'the key of that time did not sign it' && return; }
        holds_line "$1 $next_vkey" "$work/approved" ||
            { fault key-unknown "$entry" 'nobody approved the key that it hands over to' && return; }
        take_key "$next_vkey" -
        while read -r of_log _ of_key _; do
            [ "$of_log $of_key" != "$1 $keyid" ] ||
                { fault key-unknown "$entry" 'the key that it hands over to has signed before' && return; }
        done <"$work/spans"
        say "$1 $((next_seq + 1)) $keyid $next_vkey" >>"$work/spans"
    done
}

# 5. What the entries say, as lines to be compared --------------------------------------------------------------------

take_record() { # FILE; uses log seq event prev leaf
    say "$log $seq $leaf" >>"$work/leaves"
    [ "$seq" = 0 ] || say "$log $((seq - 1)) $prev $1" >>"$work/prevs"
    if [ "$log" = "$centre" ]; then
        case $event in
        station.entries)
            jq -r '.mirror | .log as $log | .from as $from | .leaves | to_entries[]
                | "\($log) \($from + .key) \(.value)"' "$work/payload" >>"$work/mirrored"
            jq -r --arg seq "$seq" '.time.utc_ms as $ms | .mirror
                | "\(.log) \(.from) \(.from + (.leaves | length)) \($ms) \($seq)"' "$work/payload" >>"$work/seen"
            ;;
        central.verified)
            jq -r '"\(.object.id) \(.object.name) \(.object.size) \(.object.digests.sha256)"
                + " \(.entry.log) \(.entry.seq) \(.entry.leaf)"' "$work/payload" >>"$work/receipts" ;;
        key.enrolled)
            jq -r 'select([.actors[]? | select(.role == "approver") | .id] | unique | length > 1) | .key.vkey' \
                "$work/payload" >"$work/vkey"
            read -r vkey <"$work/vkey" && [ "${vkey%%+*}" != "$centre" ] &&
                say "${vkey%%+*} $vkey" >>"$work/approved" && say "$vkey $seq" >>"$work/approvals"
            ;;
        key.revoked) jq -r '"\(.key.vkey) \(.revocation.invalid_from_ms)"' "$work/payload" >>"$work/revoked" ;;
        access.exported)
            jq -r '"\(.export.id) \(.export.manifest_sha256)"' "$work/payload" >>"$work/exports" ;;
        esac
        return
    fi
    say "$log $seq $leaf" >>"$work/station.leaves"
    case $event in
    ingest.copied)
        jq -r '.object | "\(.id) \(.name) \(.size) \(.digests.sha256)"' "$work/payload" >"$work/object"
        read -r object name size sum <"$work/object"
        say "$object $name $size $sum $log $seq $leaf" >>"$work/copied"
        say "$object $sum" >>"$work/originals"
        say "$size $sum  data/$name" >>"$work/announced"
        ;;
    proxy.created)
        [ -f "data/$(jq -r .object.name "$work/payload")" ] || return
        jq -r '"\(.object.size) \(.object.digests.sha256)  data/\(.object.name)"' "$work/payload" >>"$work/announced"
        jq -r '.parents[] | "\(.id) \(.sha256)"' "$work/payload" >>"$work/parents"
        ;;
    esac
}

for list in leaves prevs mirrored receipts exports station.leaves copied originals announced parents \
    approvals revoked seen logs; do
    : >"$work/$list"
done
say c2sp.org/tlog-proof@v1 >"$work/proof.head"
while IFS= read -r one; do
    case $one in custody/*.dsse.json)
        one=${one#custody/}
        say "${one%/*}" >>"$work/logs"
        ;;
    esac
done <"$work/found.sorted"
succeed "$centre"
while IFS= read -r one; do
    case $one in custody/"$centre"/*.dsse.json) check_entry "$one" ;; esac
done <"$work/found.sorted"
sort -u "$work/logs" >"$work/logs.sorted"
while IFS= read -r one; do
    [ "$one" = "$centre" ] || succeed "$one"
done <"$work/logs.sorted"
while IFS= read -r one; do
    case $one in
    custody/"$centre"/*.dsse.json) ;;
    custody/*.dsse.json) check_entry "$one" ;;
    custody/*) fault unrecorded "$one" 'not an entry' ;;
    proofs/*)
        other=custody/${one#proofs/}
        [ -f "${other%.tlog-proof}.dsse.json" ] || fault missing "$one" 'a proof without its entry'
        ;;
    esac
done <"$work/found.sorted"

while read -r log seq prev where; do
    while read -r other number leaf; do
        [ "$other $number" != "$log $seq" ] || [ "$leaf" = "$prev" ] ||
            fault prev-break "$where" 'it does not continue the entry before it'
    done <"$work/leaves"
done <"$work/prevs"

sort -u "$work/mirrored" >"$work/mirrored.sorted"
sort -u "$work/station.leaves" | comm -23 - "$work/mirrored.sorted" >"$work/unmirrored"
while IFS= read -r one; do fault mirror-mismatch "$one" 'the centre'"'"'s log does not name this entry'; done <"$work/unmirrored"

first_seen() { # LOG SEQ: when the centre first named that entry, and in which of its own
    while read -r of_log from to ms by; do
        [ "$of_log" = "$1" ] && [ "$from" -le "$2" ] && [ "$2" -lt "$to" ] && say "$ms $by" && return
    done <"$work/seen"
}
while read -r revoked_vkey since; do
    while read -r log seq _; do
        needed=$(signs "$log" "$seq")
        while read -r of_log _ of_key vkey; do
            [ "$of_log $of_key $vkey" = "$log $needed $revoked_vkey" ] || continue
            at=$(first_seen "$log" "$seq")
            [ "${at%% *}" -lt "$since" ] ||
                fault key-review "$log/$seq" 'its key was revoked when the centre first saw it'
        done <"$work/spans"
    done <"$work/station.leaves"
done <"$work/revoked"
while read -r log from _ vkey; do
    [ "$log" != "$centre" ] && [ "$from" -gt 0 ] || continue
    at=$(first_seen "$log" $((from - 1)))
    while read -r approved_vkey by; do
        [ "$approved_vkey" = "$vkey" ] || continue
        [ "$by" -lt "${at##* }" ] || fault key-unknown "$log/$((from - 1))" 'its next key was approved only later'
        break
    done <"$work/approvals"
done <"$work/spans"

id=$(jq -r .id export.json 2>/dev/null)
holds_line "$id $(digest <manifest-sha256.txt)" "$work/exports" ||
    fault unrecorded export.json "the centre's log does not know export $id with this manifest"

# 6. Files against their signed entries, 7. derived files -------------------------------------------------------------

[ -s "$work/copied" ] || fault nothing-checked data 'no original was checked'
sort -u "$work/announced" >"$work/announced.sorted"
cut -d' ' -f2- "$work/announced.sorted" | sort >"$work/signed.sums"
sort manifest-sha256.txt >"$work/manifest.sorted"
comm -23 "$work/signed.sums" "$work/manifest.sorted" >"$work/gone"
comm -13 "$work/signed.sums" "$work/manifest.sorted" >"$work/extra"
while read -r _ one; do
    if [ -f "$one" ]; then fault failed "$one" 'not as signed'; else fault missing "$one" 'announced, not here'; fi
done <"$work/gone"
while read -r _ one; do fault unrecorded "$one" 'no signed entry announces it so'; done <"$work/extra"
while read -r size _ one; do
    [ ! -f "$one" ] || [ "$(stat -c%s "$one")" = "$size" ] || fault failed "$one" "signed: $size bytes"
done <"$work/announced.sorted"
sort -u "$work/originals" >"$work/originals.sorted"
sort -u "$work/parents" | comm -23 - "$work/originals.sorted" >"$work/strange"
while IFS= read -r one; do fault failed "$one" 'a derived file names an original that is another one, or not here'; done <"$work/strange"
sort -u "$work/copied" >"$work/copied.sorted"
sort -u "$work/receipts" | comm -23 - "$work/copied.sorted" >"$work/strange"
while IFS= read -r one; do fault mirror-mismatch "$one" 'a receipt of another original'; done <"$work/strange"

# Anchors -------------------------------------------------------------------------------------------------------------

continues() { # OLD-SIZE OLD-ROOT NEW-SIZE NEW-ROOT < hex hashes (RFC 9162 2.1.4.2)
    old=$1 first=$(($1 - 1)) last=$(($3 - 1))
    cat >"$work/path"
    if [ "$1" = "$3" ]; then [ "$2" = "$4" ] && [ ! -s "$work/path" ] && return 0 || return 1; fi
    [ "$old" -gt 0 ] && [ "$old" -lt "$3" ] || return 1
    [ $((old & (old - 1))) != 0 ] || { say "$2" && cat "$work/path"; } >"$work/path.whole"
    [ $((old & (old - 1))) = 0 ] || cp "$work/path" "$work/path.whole"
    while [ $((first & 1)) = 1 ]; do first=$((first >> 1)) last=$((last >> 1)); done
    before='' after=''
    while read -r sibling; do
        [ ${#sibling} = 64 ] || return 1
        if [ -z "$before" ]; then before=$sibling after=$sibling && continue; fi
        [ "$last" -gt 0 ] || return 1
        if [ $((first & 1)) = 1 ] || [ "$first" = "$last" ]; then
            before=$(node "$sibling" "$before") after=$(node "$sibling" "$after")
            while [ $((first & 1)) = 0 ] && [ "$first" -gt 0 ]; do first=$((first >> 1)) last=$((last >> 1)); done
        else
            after=$(node "$after" "$sibling")
        fi
        first=$((first >> 1)) last=$((last >> 1))
    done <"$work/path.whole"
    [ "$last" = 0 ] && [ "$before" = "$2" ] && [ "$after" = "$4" ]
}

anchors=0
for token in anchors/*/*.tsr; do
    [ -f "$token" ] || continue
    anchors=$((anchors + 1))
    note=${token%/*}/checkpoint
    { read -r origin && read -r size && read -r root; } <"$note"
    [ "$origin" = "$centre" ] || fault anchor-mismatch "$token" 'over another log'
    newest=0
    for judged in "$work"/notes/*; do
        read -r log new_size new_root <"$judged" || continue
        [ "$log" = "$centre" ] && [ "$new_size" -gt "$newest" ] && newest=$new_size newest_root=$new_root
    done
    hex_lines <"${token%/*}/consistency" | continues "$size" "$(printf %s "$root" | base64 -d | hex)" "$newest" \
        "${newest_root:-}" || fault anchor-mismatch "$token" 'the centre'"'"'s log does not continue the anchored checkpoint'
    [ -n "$tsa" ] || { say "remark 说明: $token: not checked, for want of --tsa-ca 未核验时间戳" && continue; }
    name=${token##*/} crt=keys/tsa/${name%.tsr}.crt
    if [ -f "$crt" ]; then set -- -untrusted "$crt"; else set --; fi
    openssl ts -verify -in "$token" -data "$note" -CAfile "$tsa" "$@" >/dev/null 2>&1 ||
        fault anchor-mismatch "$token" 'not over this checkpoint, or not by this authority'
done
[ $anchors -gt 0 ] ||
    say 'remark 说明: no time stamp from outside the agency 无外部锚定：内部人员同时掌握站端与中心密钥时，篡改不可发现'
finish
