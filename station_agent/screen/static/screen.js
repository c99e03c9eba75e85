'use strict';
// Keeps the dock screen fresh: server-sent events first, polling when they fail, a banner when neither brings news.
// ES2020, no library. All words and all decisions come from the server; this file only places them.
(() => {
  const POLL_MS = 2000;
  const STALE_MS = 5000;
  const view = document.body.dataset.view;
  const board = document.getElementById('board');
  const clock = document.getElementById('clock');
  const banner = document.getElementById('stale');
  const age = document.getElementById('stale-age');
  let shown = '';
  let heardAt = performance.now(); // Monotone: setting the station's clock must not hide or fake staleness.
  let asking = false;

  function show(frame) {
    heardAt = performance.now();
    clock.textContent = frame.clock;
    if (frame.html !== shown) {
      shown = frame.html;
      board.innerHTML = frame.html; // Escaped by the server's templates, same origin.
    }
    judge();
  }

  function judge() {
    const silence = performance.now() - heardAt;
    const stale = silence > STALE_MS;
    banner.hidden = !stale;
    document.body.classList.toggle('stale', stale);
    if (stale) age.textContent = String(Math.floor(silence / 1000));
  }

  function listen() {
    const source = new EventSource(`/events/${view}`);
    source.addEventListener('screen', (event) => show(JSON.parse(event.data)));
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) setTimeout(listen, POLL_MS);
    };
  }

  async function poll() {
    if (asking || performance.now() - heardAt < POLL_MS) return;
    asking = true;
    try {
      const answer = await fetch(`/frame/${view}`, { cache: 'no-store' });
      if (answer.ok) show(await answer.json());
    } catch (error) {
      // Silence is what the banner reports; the next round asks again.
    } finally {
      asking = false;
    }
  }

  if ('EventSource' in window) listen();
  setInterval(poll, POLL_MS);
  setInterval(judge, 500);
})();
