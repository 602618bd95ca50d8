// The map of channels: where each lies, how it stands, and what one of them has shown.
"use strict";

const POLL_MS = 4000;
const CUT_OFF_S = 15;      // no map for so long: not live
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const short = (value) => number(value, 2);
const QUALITY = "verdict";

let about = null;          // names: layers, regions, quantities, qualities
let at = null;             // where channels lie
let map = null;            // how they stand: head, and a byte a channel for each quantity
let mappedAt = -Infinity;
let chosen = null;         // channel whose history is shown
let view = null;           // how positions become pixels
let picked = false;        // whether a person has said which layer to show

// ---- what comes -----------------------------------------------------------------------------

async function get(path, kind) {
  const reply = await fetch(path, { signal: AbortSignal.timeout(8000) });
  if (!reply.ok) throw new Error(`${path}: ${reply.status}`);
  return reply[kind]();
}

async function begin() {
  about = await get("/api/channels", "json");
  const bytes = await get(about.layout, "arrayBuffer");
  const n = about.n;
  const part = (i) => new Float32Array(bytes, 4 * n * i, n);
  at = { x: part(0), y: part(1), w: part(2), h: part(3), region: new Int16Array(bytes, 16 * n, n), layer: new Uint8Array(bytes, 18 * n, n) };
  $("detector").textContent = about.detector;
  $("n").textContent = number(n);
  $("quantity").replaceChildren(...[QUALITY, ...about.quantities].map((name) => make("option", name, { value: name })));
  $("layer").replaceChildren(...about.layers.map((name, i) => make("option", name, { value: i })));
  $("region").append(...about.regions.map((name, i) => make("option", name, { value: i })));
  poll();
}

async function poll() {
  try {
    const bytes = new Uint8Array(await get("/api/channels/map", "arrayBuffer"));
    const end = bytes.indexOf(10);
    const head = JSON.parse(new TextDecoder().decode(bytes.subarray(0, end)));
    const parts = new Map(head.scales.map((scale, i) => [scale.name, bytes.subarray(end + 1 + i * about.n, end + 1 + (i + 1) * about.n)]));
    map = { head, parts, quality: bytes.subarray(end + 1 + head.scales.length * about.n) };
    mappedAt = performance.now();
    show();
    if (chosen !== null) one(chosen);
  } catch (problem) {
    console.warn("no map:", problem.message);
  }
  setTimeout(poll, POLL_MS);
}

async function live() {
  let what = "";
  try {
    const said = await get("/api/state", "json");
    if (said.role !== "active") what = "Stand-by: another judge is active";
    else if ((said.served_ns - said.published_ns) / 1e9 > said.silent_s) what = "The judge is silent";
    else if ((performance.now() - mappedAt) / 1000 > CUT_OFF_S) what = "No map";
    worst = said.now?.worst ?? [];
  } catch { what = "No answer"; }
  document.body.classList.toggle("stale", what !== "");
  $("stale-what").textContent = what;
  $("stale-why").textContent = what ? "Nothing below is live." : "";
  setTimeout(live, 2000);
}
let worst = [];

// ---- the map --------------------------------------------------------------------------------

function shown() {
  const layer = Number($("layer").value), region = $("region").value;
  const found = [];
  for (let i = 0; i < about.n; i++) if (at.layer[i] === layer && (region === "" || at.region[i] === Number(region))) found.push(i);
  return found;
}

function mix(a, b, t) { return a.map((v, i) => Math.round(v + (b[i] - v) * t)); }

// From blue over the ground to red for what can be off to both sides; from the ground to dark for more and less.
function ramp(usual) {
  const ground = dark() ? [34, 43, 51] : [240, 242, 245], low = dark() ? [98, 179, 245] : [10, 95, 165], high = dark() ? [255, 122, 87] : [194, 47, 16];
  const much = dark() ? [255, 220, 120] : [60, 30, 110];
  return (share) => (usual === null ? mix(ground, much, Math.sqrt(share)) : share < 0.5 ? mix(low, ground, share * 2) : mix(ground, high, share * 2 - 1));
}

function colours() {
  const name = $("quantity").value;
  if (name === QUALITY) {
    const of = ["--good", "--null-wash", "--medium", "--bad", "--null"].map(colour);
    return (i) => of[map.quality[i]];
  }
  const scale = map.head.scales.find((one) => one.name === name), values = map.parts.get(name), to = ramp(scale.usual);
  const table = [colour("--null-wash"), ...Array.from({ length: 255 }, (_, k) => `rgb(${to(k / 254).join(" ")})`)];
  return (i) => table[values[i]];
}

function show() {
  const { head, quality } = map;
  const faulty = about.layers.map(() => 0);
  let unknown = 0;
  quality.forEach((q, i) => { faulty[at.layer[i]] += q === 2 || q === 3; unknown += q === 1; });
  $("faulty").textContent = number(faulty.reduce((a, b) => a + b));
  layers(faulty);
  $("unknown").textContent = number(unknown);
  $("clock").textContent = clock(head.second);
  paint();
}

// Each layer says what is at fault in it; nobody should look at a good one while another is not.
function layers(faulty) {
  const select = $("layer"), most = faulty.indexOf(Math.max(...faulty));
  about.layers.forEach((name, k) => { select.options[k].textContent = name + (faulty[k] && faulty.length > 1 ? ` (${number(faulty[k])} at fault)` : ""); });
  if (!picked && faulty[most] && !faulty[select.value]) select.value = most;
}

function paint() {
  if (map === null) return;
  const canvas = $("canvas"), box = canvas.getBoundingClientRect(), scale = window.devicePixelRatio || 1;
  canvas.width = box.width * scale;
  canvas.height = box.height * scale;
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  const channels = shown();
  if (!channels.length) { view = null; return; }
  let x0 = Infinity, x1 = -Infinity, y0 = Infinity, y1 = -Infinity;
  for (const i of channels) {
    x0 = Math.min(x0, at.x[i] - at.w[i] / 2); x1 = Math.max(x1, at.x[i] + at.w[i] / 2);
    y0 = Math.min(y0, at.y[i] - at.h[i] / 2); y1 = Math.max(y1, at.y[i] + at.h[i] / 2);
  }
  // The axis with more channels lies along the screen, so that a barrel or a long module is readable.
  const first = channels[0], turned = (y1 - y0) / at.h[first] > (x1 - x0) / at.w[first];
  pen.font = "13px system-ui, sans-serif";
  const ticks = (turned ? [x0, (x0 + x1) / 2, x1] : [y0, (y0 + y1) / 2, y1]).map((v) => pen.measureText(short(v)).width);
  const left = 28 + Math.max(...ticks), bottom = 34, width = box.width - left - 12, height = box.height - bottom - 12;
  view = { channels, x0, y0, left, top: 12, turned,
    kx: turned ? width / (y1 - y0) : width / (x1 - x0), ky: turned ? height / (x1 - x0) : height / (y1 - y0), height };
  const fill = colours(), gap = channels.length < 4000 ? 1 : 0;
  const faulty = [];
  for (const i of channels) {
    const [px, py, pw, ph] = place(i);
    pen.fillStyle = fill(i);
    pen.fillRect(px, py, Math.max(pw - gap, 0.7), Math.max(ph - gap, 0.7));
    if (map.quality[i] >= 2 || i === chosen) faulty.push(i);
  }
  for (const i of faulty) frame(pen, i);
  axes(pen, box, x0, x1, y0, y1);
  key();
  if ($("region").value === "") modules(pen, channels);
  else labels(pen, channels);
}

function place(i) {
  const v = view, along = v.turned ? at.y[i] - v.y0 : at.x[i] - v.x0, across = v.turned ? at.x[i] - v.x0 : at.y[i] - v.y0;
  const w = (v.turned ? at.h[i] : at.w[i]) * v.kx, h = (v.turned ? at.w[i] : at.h[i]) * v.ky;
  return [v.left + along * v.kx - w / 2, v.top + v.height - across * v.ky - h / 2, w, h];
}

// What is at fault is framed, and seen from afar however small a channel is on the screen.
function frame(pen, i) {
  const [px, py, pw, ph] = place(i), wide = Math.max(pw, 9), high = Math.max(ph, 9);
  const q = map.quality[i];
  if (i === chosen) {
    pen.lineWidth = 3; pen.strokeStyle = colour("--accent");
    pen.strokeRect(px + pw / 2 - wide / 2 - 3, py + ph / 2 - high / 2 - 3, wide + 6, high + 6);
    if (q < 2) return;
  }
  pen.lineWidth = q === 3 ? 2.5 : 1.5;
  pen.strokeStyle = q === 4 ? colour("--null") : q === 2 ? colour("--medium") : colour("--bad");
  if (q === 4) {          // left out: crossed
    const cx = px + pw / 2, cy = py + ph / 2, half = Math.max(Math.min(pw, ph), 8) / 2;
    pen.beginPath(); pen.moveTo(cx - half, cy - half); pen.lineTo(cx + half, cy + half); pen.moveTo(cx - half, cy + half); pen.lineTo(cx + half, cy - half); pen.stroke();
    return;
  }
  pen.strokeRect(px + pw / 2 - wide / 2, py + ph / 2 - high / 2, wide, high);
}

function axes(pen, box, x0, x1, y0, y1) {
  pen.fillStyle = colour("--soft");
  pen.font = "13px system-ui, sans-serif";
  const [across, along] = view.turned ? about.axes : [about.axes[1], about.axes[0]];
  const [a0, a1, b0, b1] = view.turned ? [y0, y1, x0, x1] : [x0, x1, y0, y1];
  pen.textAlign = "center";
  for (const s of [0, 0.25, 0.5, 0.75, 1]) {
    pen.textAlign = s === 0 ? "left" : s === 1 ? "right" : "center";
    pen.fillText(short(a0 + s * (a1 - a0)), view.left + s * (box.width - view.left - 12), box.height - 18);
  }
  pen.textAlign = "center";
  pen.fillText(along, view.left + (box.width - view.left) / 2, box.height - 3);
  pen.textAlign = "right";
  for (const s of [0, 0.5, 1]) pen.fillText(short(b0 + s * (b1 - b0)), view.left - 6, view.top + (1 - s) * view.height + (s === 1 ? 11 : s === 0 ? 0 : 5));
  pen.save(); pen.translate(12, view.top + view.height / 2); pen.rotate(-Math.PI / 2); pen.textAlign = "center"; pen.fillText(across, 0, 0); pen.restore();
}

function modules(pen, channels) {
  const boxes = new Map();
  for (const i of channels) {
    const [px, py, pw, ph] = place(i), box = boxes.get(at.region[i]) ?? [Infinity, Infinity, -Infinity, -Infinity];
    boxes.set(at.region[i], [Math.min(box[0], px), Math.min(box[1], py), Math.max(box[2], px + pw), Math.max(box[3], py + ph)]);
  }
  pen.strokeStyle = colour("--soft"); pen.lineWidth = 1; pen.font = "12px system-ui, sans-serif"; pen.textAlign = "left";
  const named = [];         // where modules are narrower than their names, some have none
  for (const [region, [px, py, qx, qy]] of boxes) {
    if (region < 0) continue;
    pen.strokeRect(px, py, qx - px, qy - py);
    const name = about.regions[region], wide = pen.measureText(name).width + 6;
    const x = px + 1, y = qy - py > 16 ? py + 1 : (py + qy) / 2 - 7.5;
    if (named.every(([a, b, c]) => x > a + c || a > x + wide || Math.abs(y - b) > 16)) named.push([x, y, wide, name]);
  }
  for (const [x, y, wide, name] of named) {
    pen.fillStyle = colour("--card"); pen.globalAlpha = 0.75; pen.fillRect(x, y, wide, 15); pen.globalAlpha = 1;
    pen.fillStyle = colour("--ink"); pen.fillText(name, x + 3, y + 12);
  }
}

function labels(pen, channels) {
  const [, , pw, ph] = place(channels[0]);
  if (pw < 34 || ph < 16) return;
  pen.fillStyle = colour("--ink"); pen.font = "11px system-ui, sans-serif"; pen.textAlign = "center";
  for (const i of channels) { const [px, py, w, h] = place(i); pen.fillText(String(i - channels[0] + 1), px + w / 2, py + h / 2 + 4); }
}

function key() {
  const name = $("quantity").value, canvas = $("ramp"), pen = canvas.getContext("2d");
  canvas.hidden = name === QUALITY;
  if (name === QUALITY) { $("key-text").textContent = "green: good · pale: cannot tell yet · framed: at fault · crossed: masked or known to be bad"; return; }
  const scale = map.head.scales.find((one) => one.name === name), to = ramp(scale.usual);
  canvas.width = 256;
  for (let k = 0; k < 256; k++) { pen.fillStyle = `rgb(${to(k / 255).join(" ")})`; pen.fillRect(k, 0, 1, 14); }
  const usual = scale.usual === null ? "" : `, usual ${short(scale.usual)}`;
  const none = view.channels.every((i) => !map.parts.get(name)[i]) ? "too few showers yet · " : "";
  $("key-text").textContent = `${none}${name}${name === "rate" ? " (showers/s near it)" : ""}: ${short(scale.low)} to ${short(scale.high)}${usual}, ${name === "gain" ? "this run" : `last ${map.head.seconds} s`} · framed: at fault`;
}

function under(event) {
  if (view === null) return null;
  const box = $("canvas").getBoundingClientRect(), px = event.clientX - box.left, py = event.clientY - box.top;
  let best = null, nearest = 36;
  for (const i of view.channels) {
    const [x, y, w, h] = place(i);
    const dx = Math.max(x - px, px - x - w, 0), dy = Math.max(y - py, py - y - h, 0), far = dx * dx + dy * dy;
    if (far < nearest) { nearest = far; best = i; if (far === 0) break; }
  }
  return best;
}

$("canvas").addEventListener("click", (event) => {
  const i = under(event);
  if (i === null) return;
  if ($("region").value === "" && at.region[i] >= 0 && view.channels.length > 400) {
    $("region").value = at.region[i];
    paint();
  } else one(i);
});
$("canvas").addEventListener("mousemove", (event) => {
  const i = under(event), name = $("quantity").value;
  if (i === null || map === null) { $("under").textContent = ""; return; }
  const region = at.region[i] < 0 ? "" : about.regions[at.region[i]];
  let value = about.qualities[map.quality[i]];
  if (name !== QUALITY) {
    const scale = map.head.scales.find((one) => one.name === name), level = map.parts.get(name)[i];
    value = level ? short(scale.low + ((level - 1) / 254) * (scale.high - scale.low)) : "unknown";
  }
  $("under").textContent = `${region} (${number(at.x[i], 3)}, ${number(at.y[i], 3)}): ${value}`;
});
$("canvas").addEventListener("keydown", (event) => { if (event.key === "Escape") { $("region").value = ""; paint(); } });
for (const id of ["quantity", "layer", "region"]) $(id).addEventListener("change", paint);
$("layer").addEventListener("change", () => { picked = true; });
$("name").addEventListener("change", async () => {
  try {
    const found = await get(`/api/channels/find?name=${encodeURIComponent($("name").value.trim())}`, "json");
    picked = true;
    $("layer").value = at.layer[found.channel];
    $("region").value = at.region[found.channel] < 0 ? "" : at.region[found.channel];
    one(found.channel);
  } catch { $("one-what").textContent = `There is no channel ${$("name").value}.`; }
});
window.addEventListener("resize", paint);

// ---- one channel ----------------------------------------------------------------------------

const span = (s) => (s < 100 ? `${Math.ceil(s)} s` : s < 5400 ? `${Math.round(s / 60)} min` : s < 172800 ? `${number(s / 3600, 1)} h` : `${Math.round(s / 86400)} days`);

async function one(i) {
  const changed = chosen !== i;
  chosen = i;
  if (changed) paint();
  let said;
  try { said = await get(`/api/channels/one?id=${i}`, "json"); } catch { return; }
  if (chosen !== i) return;
  $("one-name").textContent = said.name;
  const waits = said.tells_s === null ? "no showers come near it" : `can tell in ${span(said.tells_s)}`;
  const what = said.quality === "null" ? `cannot tell yet: ${waits}` : said.quality;
  $("one-what").textContent = `${what}; channel ${i}, ${said.region ?? "no region"}, ${said.layer}` + (said.groups.length ? `; groups ${said.groups.join(", ")}` : "");
  $("one-alarms").replaceChildren(...said.alarms.map((alarm) => make("p", alarm.text)));
  const rows = [["showers near it", `${short(said.showers)} in ${said.seconds} s`], ...Object.entries(said.values).map(([name, value]) => [name, number(value, 3)])];
  $("one-values").replaceChildren(...rows.flatMap(([name, value]) => [make("dt", name), make("dd", value)]));
  history(said.history);
  if (changed) showers(said);
}

function history({ second, ...curves }) {
  const box = $("one-history");
  if (second.length < 2) { box.replaceChildren(make("p", "Its history begins with the second minute.", { class: "past" })); return; }
  const usual = { mean: 0, spread: 1, lit: 1 }, words = { showers: "showers a minute", mean: "mean latent", spread: "spread", lit: "occupancy" };
  box.replaceChildren(...Object.entries(curves).map(([name, values]) => {
    const svg = draw("svg", { viewBox: "0 0 400 110", preserveAspectRatio: "none" });
    const good = values.filter((v) => v !== null), low = Math.min(...good, usual[name] ?? 0), high = Math.max(...good, usual[name] ?? 0, low + 0.1);
    const x = (k) => 4 + (392 * k) / (values.length - 1), y = (v) => 100 - (78 * (v - low)) / (high - low);
    if (name in usual) svg.append(draw("path", { class: "axis", d: `M4 ${y(usual[name])}H396` }));
    let d = "", gap = true;
    values.forEach((v, k) => { if (v === null) gap = true; else { d += `${gap ? "M" : "L"}${x(k).toFixed(1)} ${y(v).toFixed(1)}`; gap = false; } });
    svg.append(draw("path", { d }), draw("text", { x: 4, y: 13 }, `${words[name]}: ${short(values.at(-1))} (${short(low)} to ${short(high)} since ${clock(second[0])})`));
    return svg;
  }));
}

function showers(said) {
  const mine = worst.filter((shower) => shower.region === said.region_id).slice(0, 2);
  $("one-showers-title").hidden = !mine.length;
  $("one-showers").replaceChildren(...mine.map((shower) => {
    const place = [shower.topic, shower.partition, shower.offset, shower.row].join("/");
    const image = make("img", null, { src: `/pictures/${place}.svg?theme=${dark() ? "dark" : "light"}`, alt: `Shower ${shower.event_id}` });
    image.addEventListener("error", () => image.replaceWith(make("p", "This shower is no longer kept.", { class: "past" })));
    return make("figure", null, {}, [image, make("figcaption", `p = ${shower.p.toExponential(0)}, event ${shower.event_id}`)]);
  }));
}

begin().catch((problem) => { $("stale-what").textContent = "This detector has no map of channels"; $("stale-why").textContent = problem.message; });
live();
