'use strict';
// The counter: a badge reader is a keyboard, so a digit typed anywhere goes into the badge field, and Enter sends it.
// All words come from the server; the panel closes by itself, so that nobody reads the last officer's dockings.
(() => {
  const IDLE_MS = 30000;
  const STALE_DIGITS_MS = 3000;
  const panel = document.getElementById('desk');
  const badge = document.getElementById('badge');
  if (!panel || !badge) return;
  const token = document.querySelector('meta[name="desk-token"]').content;
  const number = badge.elements.officer;
  let touchedAt = performance.now();

  function close() {
    panel.hidden = true;
    panel.textContent = '';
    number.value = '';
  }

  async function ask(act, form, submitter) {
    const asked = Object.fromEntries(new FormData(form));
    if (submitter && submitter.name) asked[submitter.name] = submitter.value;
    if (asked.bay) asked.bay = Number(asked.bay);
    number.value = '';
    try {
      const answer = await fetch(`/desk/${act}`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', 'X-Desk-Token': token },
        body: JSON.stringify(asked),
      });
      if (answer.status !== 200 && answer.status !== 400) throw new Error(String(answer.status));
      panel.innerHTML = await answer.text(); // Escaped by the server's templates, same origin.
    } catch (error) {
      panel.textContent = panel.dataset.failed;
    }
    panel.hidden = false;
    touchedAt = performance.now();
    const next = panel.querySelector('[name="reason"]') || panel.querySelector('[data-focus]');
    if (next) next.focus();
  }

  document.addEventListener('submit', (event) => {
    event.preventDefault();
    const act = event.target.dataset.act;
    if (act) ask(act, event.target, event.submitter);
  });
  document.addEventListener('click', (event) => {
    if (event.target.closest('[data-close]')) close();
  });
  document.addEventListener('keydown', (event) => {
    const silence = performance.now() - touchedAt;
    touchedAt = performance.now();
    if (event.key === 'Escape') close();
    const typing = event.target.closest && event.target.closest('input, select');
    if (typing === number && silence > STALE_DIGITS_MS) number.value = '';
    if (typing || !/^[0-9]$/.test(event.key) || event.ctrlKey || event.altKey || event.metaKey) return;
    number.value = '';
    number.focus(); // The digit itself follows the focus.
  });
  document.addEventListener('pointerdown', () => { touchedAt = performance.now(); });
  setInterval(() => { if (performance.now() - touchedAt > IDLE_MS) close(); }, 1000);
})();
