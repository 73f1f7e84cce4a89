"use strict";
// Playing a clip from its first frame to its last with its words; keys; copying. Everything else works without it.
const film = document.getElementById("film");
if (film) {
  const [start, end, offset] = ["start", "end", "offset"].map((name) => Number(film.dataset[name]));
  const words = Array.from(document.querySelectorAll("#words button"));
  const now = document.getElementById("now");
  const length = Math.max(end - offset, 0.001);
  const show = () => {
    const ms = (film.currentTime - offset) * 1000;
    now.setAttribute("x", String(Math.min(997, Math.max(0, ms / length))));
    for (const word of words) word.classList.toggle("now", ms >= Number(word.dataset.start) && ms < Number(word.dataset.end));
  };
  const begin = () => { film.currentTime = start; };
  const run = () => {
    show();
    if (film.currentTime >= end - 0.01 && !film.paused) film.pause();
    if (!film.paused) requestAnimationFrame(run);
  };
  if (film.readyState >= 1) begin();
  film.addEventListener("loadedmetadata", begin, { once: true });
  film.addEventListener("seeked", show);
  film.addEventListener("play", () => {
    if (film.currentTime < start - 0.05 || film.currentTime >= end - 0.02) begin();
    requestAnimationFrame(run);
  });
  for (const word of words) {
    word.addEventListener("click", () => { film.currentTime = Math.max(start, offset + Number(word.dataset.start) / 1000); });
  }
}

const go = (relation) => document.querySelector(`a[rel=${relation}]`)?.click();
const keys = {
  m: () => document.getElementById("mark")?.click(),
  "/": () => document.getElementById("q").focus(),
  n: () => go("next"),
  p: () => go("prev"),
  b: () => { if (film) { film.currentTime = Number(film.dataset.start); film.play(); } },
  " ": () => { if (film) { if (film.paused) film.play(); else film.pause(); } },
};
for (const button of document.querySelectorAll("[data-key]")) keys[button.dataset.key] = () => button.click();
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select");
  const pressing = event.key === " " && event.target.closest("button, a, summary, video");
  if (typing || pressing || event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(keys, event.key)) return;
  event.preventDefault();
  keys[event.key]();
});

for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
  });
}
