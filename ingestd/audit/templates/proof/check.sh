#!/bin/sh
# The proof of clip {{ object }}, step by step with openssl 3, jq and GNU coreutils.
# 用公开工具逐步核验片段 {{ object }} 的证明。
#
#     sh check.sh [FILE]        run in this folder; FILE is the clip, from wherever you have it 片段文件
#
# Keys prove nothing if they come from the one who is to be checked: compare the files in keys/ with your own policy.txt.
# Exit 0: every step held. Anything else: the step that was named last did not.
set -eu
w=$(mktemp -d)
trap 'rm -rf "$w"' EXIT

signed() { # ENTRY KEY: the entry's signature (DSSE, FORMAT.md §3)
    jq -rj .payload "$1" | base64 -d >"$w/payload"
    { printf 'DSSEv1 35 application/vnd.bwc.custody.v1+json %d ' "$(stat -c%s "$w/payload")"; cat "$w/payload"; } >"$w/pae"
    jq -r '[.signatures[] | select(.keyid | contains(":") | not)][0].sig' "$1" | base64 -d >"$w/sig"
    openssl pkeyutl -verify -pubin -inkey "$2" -rawin -in "$w/pae" -sigfile "$w/sig"
}

included() { # ENTRY PROOF ORIGIN KEY: it stands in the log whose head is signed (RFC 6962 §2.1.1, C2SP tlog-checkpoint)
    sed '1,/^$/d' "$2" >"$w/note"
    head -n 3 "$w/note" >"$w/body"
    sed -n "s|^— $3 ||p" "$w/note" | head -n 1 | base64 -d | tail -c 64 >"$w/sig"
    openssl pkeyutl -verify -pubin -inkey "$4" -rawin -in "$w/body" -sigfile "$w/sig"
    i=$(sed -n 's/^index //p' "$2") last=$(($(sed -n 2p "$w/body") - 1))
    { printf '\000'; cat "$1"; } | openssl dgst -sha256 -binary >"$w/at"
    sed '1,2d;/^$/,$d' "$2" | while read -r sibling; do
        printf %s "$sibling" | base64 -d >"$w/sibling"
        if [ $((i & 1)) = 1 ] || [ "$i" = "$last" ]; then
            { printf '\001'; cat "$w/sibling" "$w/at"; } | openssl dgst -sha256 -binary >"$w/up"
            while [ $((i & 1)) = 0 ] && [ "$i" -gt 0 ]; do i=$((i >> 1)) last=$((last >> 1)); done
        else
            { printf '\001'; cat "$w/at" "$w/sibling"; } | openssl dgst -sha256 -binary >"$w/up"
        fi
        mv "$w/up" "$w/at"
        i=$((i >> 1)) last=$((last >> 1))
    done
    [ "$(base64 -w0 <"$w/at")" = "$(sed -n 3p "$w/body")" ]
}

echo '1. The files are those that the agency signed for 文件与单位签名的清单一致'
sha256sum --strict --quiet -c tagmanifest-sha256.txt
openssl pkeyutl -verify -pubin -inkey keys/{{ centre }}.pem -rawin \
    -in tagmanifest-sha256.txt -sigfile tagmanifest-sha256.txt.ed25519

echo '2. The station signed the entry that brought the clip, and it stands in its log 采集站的签名与日志位置'
entry=custody/{{ entry }}.dsse.json
included "$entry" proofs/{{ entry }}.tlog-proof {{ station }} keys/{{ station }}.pem
signed "$entry" keys/{{ keys.entry }}.pem
jq -c '{event, seq, time: .time.utc_ms, object, source: .source.path}' "$w/payload"
[ "$(jq -r .object.id "$w/payload")" = {{ object }} ]
sum=$(jq -r .object.digests.sha256 "$w/payload")
leaf=$({ printf '\000'; cat "$entry"; } | openssl dgst -sha256 -r | cut -c1-64)
{% if mirrored %}
echo '3. The centre took that very entry into its own log 中心日志已记入该条目'
entry=custody/{{ mirrored }}.dsse.json
included "$entry" proofs/{{ mirrored }}.tlog-proof {{ centre }} keys/{{ centre }}.pem
signed "$entry" keys/{{ keys.mirrored }}.pem
jq -e --arg leaf "$leaf" '.mirror.leaves | any(. == $leaf)' "$w/payload"
{% endif %}
{% if receipt %}
echo '4. The centre read the clip back from its store, and it was that 中心从证据库读回并核对'
entry=custody/{{ receipt }}.dsse.json
included "$entry" proofs/{{ receipt }}.tlog-proof {{ centre }} keys/{{ centre }}.pem
signed "$entry" keys/{{ keys.receipt }}.pem
[ "$(jq -r '.entry.leaf + .object.digests.sha256' "$w/payload")" = "$leaf$sum" ]
{% endif %}
if [ $# -gt 0 ]; then
    echo '5. The file is that clip 文件就是该片段'
    [ "$(openssl dgst -sha256 -r "$1" | cut -c1-64)" = "$sum" ]
else
    echo "5. No file was compared; the clip's SHA-256 is 未比对文件，片段的 SHA-256 为 $sum"
fi
echo 'OK: every step held 各步均成立'
