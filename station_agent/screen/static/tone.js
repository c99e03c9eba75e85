'use strict';
// Two falling notes while a recorder was pulled too early: at once, then every ten seconds for a minute.
// Made by Web Audio, so there is no file. A browser lets nothing sound before the first gesture: until then a button says so.
(() => {
  const EVERY_MS = 10000;
  const ROUNDS = 6;
  const NOTES_HZ = [880, 660];
  const button = document.getElementById('sound');
  const Audio = window.AudioContext || window.webkitAudioContext;
  const audio = Audio ? new Audio() : null;
  const rounds = new Map(); // Bay → how often it was sounded since it was pulled.

  function say() {
    const silent = !audio || audio.state !== 'running';
    button.hidden = !silent;
    button.disabled = !audio;
  }

  function note(hertz, begin) {
    const voice = audio.createOscillator();
    const loudness = audio.createGain();
    voice.frequency.value = hertz;
    loudness.gain.setValueAtTime(0.0001, begin);
    loudness.gain.exponentialRampToValueAtTime(0.4, begin + 0.02);
    loudness.gain.exponentialRampToValueAtTime(0.0001, begin + 0.35);
    voice.connect(loudness).connect(audio.destination);
    voice.start(begin);
    voice.stop(begin + 0.4);
  }

  function sound() {
    const alarms = [...document.querySelectorAll('.tile.alarm')].map((tile) => tile.dataset.bay);
    for (const bay of [...rounds.keys()]) if (!alarms.includes(bay)) rounds.delete(bay);
    const due = alarms.filter((bay) => (rounds.get(bay) || { count: 0 }).count < ROUNDS
      && performance.now() - (rounds.get(bay) || { at: -EVERY_MS }).at >= EVERY_MS);
    if (!due.length || !audio || audio.state !== 'running') return;
    for (const bay of due) rounds.set(bay, { count: (rounds.get(bay) || { count: 0 }).count + 1, at: performance.now() });
    NOTES_HZ.forEach((hertz, index) => note(hertz, audio.currentTime + index * 0.4));
    document.body.dataset.sounded = String(Number(document.body.dataset.sounded || 0) + 1);
  }

  function wake() {
    if (audio && audio.state !== 'running') audio.resume().then(say);
  }

  for (const gesture of ['pointerdown', 'keydown']) document.addEventListener(gesture, wake);
  if (audio) audio.onstatechange = say;
  say();
  setInterval(() => { say(); sound(); }, 500);
})();
