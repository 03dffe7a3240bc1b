/* Figures that move (rifr.report.frames): a slider over the frames that are there; without it one of them is seen. */
"use strict";

window.addEventListener("DOMContentLoaded", () => {
  for (const place of document.querySelectorAll(".rifr-frames")) {
    const frames = [...place.querySelectorAll(".rifr-frame")], input = document.createElement("input");
    const label = document.createElement("label"), output = document.createElement("output");
    Object.assign(input, { type: "range", min: 0, max: frames.length - 1, step: 1 });
    input.value = frames.findIndex((frame) => !frame.hidden);
    const show = () => {
      frames.forEach((frame, n) => (frame.hidden = n !== Number(input.value)));
      output.textContent = frames[input.value].dataset.title;
      input.setAttribute("aria-valuetext", output.textContent);
    };
    input.addEventListener("input", show);
    label.append(`${place.dataset.label} `, input, output);
    place.prepend(label);
    show();
  }
});
