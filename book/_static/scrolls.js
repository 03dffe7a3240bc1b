/* What is wider than its place and scrolls there: it fades where there is more, and the keyboard reaches it. */
"use strict";

window.addEventListener("DOMContentLoaded", () => {
  const places = ".rifr-pictures, .rifr-scrolls, .sd-tab-content, .pst-scrollable-table-container, " +
    ".cell_output .output.text_html, div.math";
  const look = (place) => {
    const more = place.scrollWidth - place.clientWidth;
    const scrolls = more > 2 && getComputedStyle(place).overflowX !== "visible";
    place.style.setProperty("--rifr-fade", `${Math.min(more, 24)}px`);  // no wider than what it hides
    place.classList.toggle("rifr-more-left", scrolls && place.scrollLeft > 2);
    place.classList.toggle("rifr-more-right", scrolls && place.scrollLeft < more - 2);
    if (scrolls) place.tabIndex = 0;
    else if (place.tabIndex === 0) place.removeAttribute("tabindex");
  };
  const sizes = new ResizeObserver((entries) => entries.forEach((entry) => look(entry.target)));
  for (const place of document.querySelectorAll(places)) {
    sizes.observe(place);
    place.addEventListener("scroll", () => look(place), { passive: true });
  }
});
