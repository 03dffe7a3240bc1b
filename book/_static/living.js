/* The living page (rifr.report.living): networks that run here, on the faces of the build or on the reader's own.
   Nothing is fetched: scripts beside the page carry their bytes as text. What is dropped here never leaves the page. */
"use strict";

window.rifrLiving = (() => {
  const SIDE = 112, BEST = 5, A = -0.75;

  // --- pixels: as rifr.degrade and rifr.align have them, at most one grey level apart --------------------------------

  /* Four input pixels and their weights for each output pixel: cubic convolution, the border repeated. */
  function taps(from, to) {
    const index = new Int32Array(4 * to), weight = new Float32Array(4 * to);
    for (let i = 0; i < to; i++) {
      const centre = (i + 0.5) * (from / to) - 0.5, first = Math.floor(centre) - 1;
      for (let k = 0; k < 4; k++) {
        const d = Math.abs(centre - (first + k));
        index[4 * i + k] = Math.min(Math.max(first + k, 0), from - 1);
        weight[4 * i + k] = d <= 1 ? ((A + 2) * d - (A + 3)) * d * d + 1 : ((A * d - 5 * A) * d + 8 * A) * d - 4 * A;
      }
    }
    return { index, weight };
  }

  /* A square RGB image (from * from * 3) at another side, rounded to whole grey levels. */
  function resize(image, from, to) {
    const { index, weight } = taps(from, to), rows = new Float32Array(to * from * 3);
    const out = new Uint8ClampedArray(to * to * 3); // rounds, and stops at 0 and 255
    for (let i = 0; i < to; i++)
      for (let j = 0; j < from * 3; j++) {
        let sum = 0;
        for (let k = 0; k < 4; k++) sum += weight[4 * i + k] * image[index[4 * i + k] * from * 3 + j];
        rows[i * from * 3 + j] = sum;
      }
    for (let i = 0; i < to; i++)
      for (let j = 0; j < to; j++)
        for (let c = 0; c < 3; c++) {
          let sum = 0;
          for (let k = 0; k < 4; k++) sum += weight[4 * j + k] * rows[(i * from + index[4 * j + k]) * 3 + c];
          out[(i * to + j) * 3 + c] = sum;
        }
    return out;
  }

  const toWidth = (image, width) => (width === SIDE ? image : resize(resize(image, SIDE, width), width, SIDE));

  /* The similarity [a, b, tx, ty] that takes points closest to others: (x, y) -> (a x - b y + tx, b x + a y + ty). */
  function similarity(points, others) {
    const n = points.length, mean = (list, axis) => list.reduce((sum, p) => sum + p[axis], 0) / n;
    const [px, py, ox, oy] = [mean(points, 0), mean(points, 1), mean(others, 0), mean(others, 1)];
    let a = 0, b = 0, square = 0;
    points.forEach(([x, y], i) => {
      const [u, v, s, t] = [x - px, y - py, others[i][0] - ox, others[i][1] - oy];
      a += u * s + v * t;
      b += u * t - v * s;
      square += u * u + v * v;
    });
    a /= square;
    b /= square;
    return [a, b, ox - a * px + b * py, oy - b * px - a * py];
  }

  /* A square of `size` pixels out of a picture ({width, height, data} RGBA): its pixel (j, i) lies at
     (a j - b i + tx, b j + a i + ty); where that is coarse it is averaged over the area of each pixel. Black beyond. */
  function cut(picture, size, [a, b, tx, ty]) {
    const out = new Uint8ClampedArray(size * size * 3), { width, height, data } = picture;
    const at = (x, y, c) => (x < 0 || y < 0 || x >= width || y >= height ? 0 : data[(y * width + x) * 4 + c]);
    const fine = Math.max(1, Math.round(Math.hypot(a, b))), sum = [0, 0, 0];
    for (let i = 0; i < size; i++)
      for (let j = 0; j < size; j++) {
        sum.fill(0);
        for (let k = 0; k < fine * fine; k++) {
          const row = i + ((k % fine) + 0.5) / fine - 0.5, column = j + (Math.floor(k / fine) + 0.5) / fine - 0.5;
          const x = a * column - b * row + tx, y = b * column + a * row + ty;
          const x0 = Math.floor(x), y0 = Math.floor(y), u = x - x0, v = y - y0;
          for (let c = 0; c < 3; c++)
            sum[c] += (1 - v) * ((1 - u) * at(x0, y0, c) + u * at(x0 + 1, y0, c)) +
              v * ((1 - u) * at(x0, y0 + 1, c) + u * at(x0 + 1, y0 + 1, c));
        }
        for (let c = 0; c < 3; c++) out[(i * size + j) * 3 + c] = sum[c] / (fine * fine);
      }
    return out;
  }

  /* The aligned face: the part of a picture that five points bring onto the template. */
  const align = (picture, points, template) => cut(picture, SIDE, similarity(template, points));

  async function pixels(source) {
    const image = await createImageBitmap(source);
    const canvas = new OffscreenCanvas(image.width, image.height), context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    return context.getImageData(0, 0, image.width, image.height);
  }

  function withoutAlpha(picture) {
    const out = new Uint8ClampedArray((picture.data.length / 4) * 3);
    for (let i = 0, j = 0; i < picture.data.length; i += 4)
      for (let c = 0; c < 3; c++) out[j++] = picture.data[i + c];
    return out;
  }

  // --- networks ------------------------------------------------------------------------------------------------------

  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const floats = (text) => new Float32Array(bytes(text).buffer);
  const address = (part, type) => URL.createObjectURL(new Blob([part], { type }));

  function load(file) {
    return new Promise((done, failed) => {
      const script = document.createElement("script");
      script.src = file;
      script.onload = done;
      script.onerror = () => failed(new Error(`${file} is not beside this page`));
      document.head.append(script);
    });
  }

  async function unpacked(text) {
    const stream = new Blob([bytes(text)]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
  }

  async function open(folder, files) {
    await Promise.all(files.map((file) => load(folder + file)));
    const parts = window.rifrRuntime, faces = window.rifrFaces;
    const ort = await import(address(parts.main, "text/javascript"));
    ort.env.wasm.numThreads = 1;
    ort.env.wasm.wasmPaths = {
      mjs: address(parts.glue, "text/javascript"),
      wasm: address(await unpacked(parts.compiled), "application/wasm"),
    };
    const networks = [], started = (onnx) => ort.InferenceSession.create(bytes(onnx), { executionProviders: ["wasm"] });
    for (const { name, label, onnx, gallery } of faces.networks) {
      const session = await started(onnx);
      const rows = Object.fromEntries(Object.entries(gallery).map(([width, text]) => [width, floats(text)]));
      networks.push({ name, label, session, rows });
    }
    const probes = [];
    for (const data of faces.probes) probes.push(withoutAlpha(await pixels(new Blob([bytes(data.split(",")[1])]))));
    return { ort, faces, networks, probes, finder: await started(faces.finder.onnx) };
  }

  /* What a network gives for an RGB image of `side` pixels. */
  async function run(app, session, image, side) {
    const x = new Float32Array(3 * side * side);
    for (let i = 0; i < side * side; i++) for (let c = 0; c < 3; c++) x[c * side * side + i] = image[3 * i + c] / 127.5 - 1;
    return (await session.run({ x: new app.ort.Tensor("float32", x, [1, 3, side, side]) })).z.data;
  }

  /* Five points found in a picture by the landmark network, which looks where five rough ones are. */
  async function find(app, picture, rough) {
    const { side, scale } = app.faces.finder, [a, b, tx, ty] = similarity(app.faces.template, rough);
    const middle = (SIDE - 1) / 2, cx = a * middle - b * middle + tx, cy = b * middle + a * middle + ty;
    const step = (scale * SIDE * Math.hypot(a, b)) / side, left = cx - (step * (side - 1)) / 2;
    const top = cy - (step * (side - 1)) / 2, square = cut(picture, side, [step, 0, left, top]);
    const z = await run(app, app.finder, square, side);
    return rough.map((_, n) => [left + step * z[2 * n], top + step * z[2 * n + 1]]);
  }

  /* Cosines of a face (112 px, RGB) with the gallery, highest first: [{place, cosine}, ...] of each network. */
  async function ask(app, face, width, protocol) {
    const seen = toWidth(face, width), answers = [];
    for (const network of app.networks) {
      const z = await run(app, network.session, seen, SIDE), length = Math.hypot(...z);
      const rows = network.rows[protocol === "P1" ? width : SIDE], found = [];
      for (let place = 0; place < rows.length / z.length; place++) {
        let sum = 0;
        for (let d = 0; d < z.length; d++) sum += z[d] * rows[place * z.length + d];
        found.push({ place, cosine: sum / length });
      }
      answers.push(found.sort((a, b) => b.cosine - a.cosine || a.place - b.place));
    }
    return { seen, answers };
  }

  // --- the page ------------------------------------------------------------------------------------------------------

  function make(tag, options = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(options))
      if (name in node && name !== "list") node[name] = value;
      else node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  function paint(canvas, image) {
    const data = new ImageData(SIDE, SIDE);
    for (let i = 0; i < SIDE * SIDE; i++) {
      for (let c = 0; c < 3; c++) data.data[4 * i + c] = image[3 * i + c];
      data.data[4 * i + 3] = 255;
    }
    canvas.getContext("2d").putImageData(data, 0, 0);
  }

  function choices(name, title, options, chosen, changed) {
    const field = make("fieldset", {}, make("legend", {}, title));
    for (const [value, text] of options) {
      const input = make("input", { type: "radio", name, value, checked: value === chosen });
      input.addEventListener("change", () => changed(value));
      field.append(make("label", {}, input, ` ${text}`));
    }
    return field;
  }

  function build(root, app) {
    const { faces, networks } = app;
    const state = { face: app.probes[0], right: faces.right[0], width: 20, protocol: "P2", asked: 0 };
    const canvas = make("canvas", { width: SIDE, height: SIDE, role: "img" });
    const answers = make("div", { className: "rifr-answers" }), said = make("p", { role: "status" });

    async function update() {
      const asked = ++state.asked, { face, right, width, protocol } = state;
      const found = await ask(app, face, width, protocol);
      if (asked !== state.asked) return; // the slider has moved on
      paint(canvas, found.seen);
      canvas.setAttribute("aria-label", `The probe at ${width} pixels, as the networks get it`);
      answers.replaceChildren(...found.answers.map((list, n) => answer(networks[n].label, list, right)));
      const places = found.answers.map((list) => list.findIndex((one) => one.place === right) + 1);
      said.textContent =
        right === null
          ? `At ${width} px: whom of ${faces.gallery.length} strangers the face is nearest to.`
          : `At ${width} px, ${protocol}: the right one of ${faces.gallery.length} faces is in place ` +
            networks.map((network, n) => `${places[n]} for ${network.label}`).join(", ") + ".";
    }

    function answer(title, list, right) {
      const shown = list.slice(0, BEST).map(({ place, cosine }) => {
        const mark = place === right ? " \u2713" : "";
        const alt = place === right ? "the right person" : "another person";
        return make("li", { className: place === right ? "right" : "" },
          make("img", { src: faces.gallery[place], alt, width: 56, height: 56 }), make("span", {}, cosine.toFixed(2) + mark));
      });
      const place = list.findIndex((one) => one.place === right) + 1;
      const rank = right === null ? "" : place === 1 ? ": right" : `: place ${place}`;
      return make("section", {}, make("h4", {}, title + rank), make("ol", {}, ...shown));
    }

    const strip = make("div", { className: "rifr-probes", role: "group", "aria-label": "Probes" });
    function choose(face, right, pressed) {
      Object.assign(state, { face, right });
      for (const button of strip.children) button.setAttribute("aria-pressed", button === pressed);
      update();
    }
    faces.probes.forEach((data, n) => {
      const button = make("button", { type: "button", "aria-pressed": n === 0 });
      button.append(make("img", { src: data, alt: `Probe ${n + 1}`, width: 48, height: 48 }));
      button.addEventListener("click", () => choose(app.probes[n], faces.right[n], button));
      strip.append(button);
    });

    const steps = faces.widths, output = make("output", {}, "20 px");
    const slider = make("input", { type: "range", min: 0, max: steps.length - 1, step: 1 });
    slider.value = steps.indexOf(state.width);
    slider.setAttribute("aria-valuetext", "20 pixels");
    slider.addEventListener("input", () => {
      state.width = steps[slider.value];
      output.textContent = `${state.width} px`;
      slider.setAttribute("aria-valuetext", `${state.width} pixels`);
      update();
    });
    const protocols = [["P1", "P1: the gallery is as small"], ["P2", "P2: the gallery keeps 112 px"]];
    const radios = choices("protocol", "Protocol", protocols, "P2", (value) => {
      state.protocol = value;
      update();
    });
    const view = make("figure", {}, canvas, make("figcaption", {}, "As the networks get it"));
    root.replaceChildren(
      strip, make("label", { className: "rifr-width" }, "Face width ", slider, output), radios,
      make("div", { className: "rifr-look" }, view, answers), said, ownFace(app, (face) => choose(face, null, null)));
    return update();
  }

  // --- the reader's own face -----------------------------------------------------------------------------------------

  const POINTS = ["left eye as you see it", "right eye as you see it", "tip of the nose", "left corner of the mouth",
    "right corner of the mouth"];

  function ownFace(app, use) {
    const stage = make("div", { className: "rifr-stage", hidden: true }), canvas = make("canvas");
    const input = make("input", { type: "file", accept: "image/*" });
    const said = make("p", { role: "status" }, "Choose a picture, or drop one here. It never leaves this page.");
    const ready = make("button", { type: "button", hidden: true }, "Ask the networks");
    const again = make("button", { type: "button", hidden: true }, "Find the points again from here");
    let picture = null, points = [];
    stage.append(canvas);

    const markers = POINTS.map((name, n) => {
      const marker = make("button", { type: "button", title: name, "aria-label": `${name}: move with the arrow keys` });
      const move = (x, y) => {
        points[n] = [Math.min(Math.max(x, 0), picture.width - 1), Math.min(Math.max(y, 0), picture.height - 1)];
        marker.style.left = `${(100 * points[n][0]) / picture.width}%`;
        marker.style.top = `${(100 * points[n][1]) / picture.height}%`;
      };
      marker.addEventListener("pointerdown", (event) => marker.setPointerCapture(event.pointerId));
      marker.addEventListener("pointermove", (event) => {
        if (!marker.hasPointerCapture(event.pointerId)) return;
        const box = canvas.getBoundingClientRect();
        move(((event.clientX - box.left) / box.width) * picture.width,
          ((event.clientY - box.top) / box.height) * picture.height);
      });
      marker.addEventListener("keydown", (event) => {
        const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
        if (!way) return;
        event.preventDefault();
        const step = Math.max(1, picture.width / (event.shiftKey ? 40 : 200));
        move(points[n][0] + step * way[0], points[n][1] + step * way[1]);
      });
      stage.append(marker);
      return move;
    });

    async function take(source) {
      try {
        picture = await pixels(source);
      } catch {
        said.textContent = "That is no picture that this browser can open: choose a JPEG or PNG file.";
        return;
      }
      Object.assign(canvas, { width: picture.width, height: picture.height });
      canvas.getContext("2d").putImageData(picture, 0, 0);
      stage.hidden = ready.hidden = again.hidden = false;
      const scale = Math.min(picture.width, picture.height) / SIDE; // where a face in the middle would have them
      place(app.faces.template.map(([x, y]) =>
        [picture.width / 2 + (x - 56) * scale * 0.6, picture.height / 2 + (y - 56) * scale * 0.6]));
      return search();
    }

    const place = (found) => found.forEach(([x, y], n) => markers[n](x, y));

    async function search() {
      for (let look = 0; look < 2; look++) place(await find(app, picture, points)); // the second look is better placed
      said.textContent = "The landmark network of this build has put the five marks. Move those that are off the eyes, " +
        "the nose and the corners of the mouth, then ask.";
    }

    again.addEventListener("click", search);
    input.addEventListener("change", () => input.files.length && take(input.files[0]));
    ready.addEventListener("click", () => use(align(picture, points, app.faces.template)));
    const panel = make("details", {}, make("summary", {}, "Your own face"), said, input, stage, again, ready);
    panel.addEventListener("dragover", (event) => event.preventDefault());
    panel.addEventListener("drop", (event) => {
      event.preventDefault();
      if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
    });
    const served = window.isSecureContext && location.protocol !== "file:";
    if (served && navigator.mediaDevices) panel.append(camera(take, said));
    return panel;
  }

  // One button: the camera's picture moves in the page until the second click takes it.
  function camera(take, said) {
    const button = make("button", { type: "button" }, "Use the camera");
    const video = make("video", { muted: true, playsInline: true, hidden: true });
    let stream = null;
    const stop = () => {
      stream?.getTracks().forEach((track) => track.stop());
      stream = null;
      video.hidden = true;
      button.textContent = "Use the camera";
    };
    button.addEventListener("click", async () => {
      if (stream) return take(video).finally(stop);
      button.disabled = true; // while the browser asks whether the page may
      try {
        video.srcObject = stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user" } });
        await video.play();
      } catch (error) {
        stop();
        said.textContent = `The camera cannot be used: ${error.message}. Allow it for this page, or choose a file.`;
        return;
      } finally {
        button.disabled = false;
      }
      video.hidden = false;
      button.textContent = "Take the picture";
    });
    return make("div", {}, button, video);
  }

  // --- start ---------------------------------------------------------------------------------------------------------

  async function start(root, folder) {
    root.textContent = "The networks are being loaded (some 20 MB, from beside this page) ...";
    try {
      const app = await open(folder, root.dataset.rifrFiles.split(" "));
      await build(root, app);
      return app;
    } catch (error) {
      root.textContent = `The networks cannot run here: ${error.message}. The figure below shows what they answer.`;
      throw error;
    }
  }

  const here = document.currentScript.src.replace(/[^/]*$/, "");
  window.addEventListener("DOMContentLoaded", () => {
    const root = document.querySelector(".rifr-living");
    if (root) window.rifrLiving.started = start(root, `${here}living/`);
  });
  return { resize, toWidth, similarity, align, find, ask, camera };
})();
