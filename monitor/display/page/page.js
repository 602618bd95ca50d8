// The live page: polls /api/state and says at once when what it shows is no longer true.
"use strict";

const POLL_MS = 1000;
const CUT_OFF_S = 4;       // no answer from the server for so long: not live
const OLD_S = 30;          // data older than this is a backlog or a replay: said, not hidden
const MOST_ALARMS = 12;    // cards; the rest are counted
const LEVEL = { page: "bad", warning: "medium" };

// Times in ns come as text, because they are beyond what a number holds exactly; dividing reads them.
let answer = null;         // the last answer, and when it came by this page's own monotonic clock
let answeredAt = -Infinity;
let undrawn = false;       // the last answer could not be drawn: what is seen is older than it
const chosen = new Map();  // alarms that somebody has opened or folded by hand

function mark(quality) {
  const icon = draw("svg", { class: "mark", "aria-hidden": "true" });
  icon.append(draw("use", { href: `#${quality}` }));
  return icon;
}

const day = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 10);
// A time of another day than this one has its date beside it.
const when = (seconds) => (day(seconds) === day(Date.now() / 1000) ? "" : `${day(seconds)} `) + clock(seconds);

function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 100) return `${s} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  if (s < 172800) return `${Math.floor(s / 3600)} h ${Math.round((s % 3600) / 60)} min`;
  return `${Math.round(s / 86400)} days`;
}

// ---- freshness ------------------------------------------------------------------------------

function freshness() {
  const waited = (performance.now() - answeredAt) / 1000;
  if (answer === null) return { stale: true, what: "Waiting for the monitor", why: "Nothing below is known to be true." };
  if (undrawn) return { stale: true, what: "This page cannot draw what the monitor says", why: "Reload it. Nothing below is live." };
  if (waited > CUT_OFF_S) {
    return { stale: true, what: `No answer for ${span(waited)}`, why: "The monitor or the network is gone. Nothing below is live." };
  }
  if (answer.role !== "active") {
    return { stale: true, what: "Stand-by", why: "Another judge is active; look at its page. Nothing below is live." };
  }
  const since = (ns) => (answer.served_ns - ns) / 1e9 + waited;
  if (since(answer.published_ns) > answer.silent_s) {
    return { stale: true, what: `The judge has been silent for ${span(since(answer.published_ns))}`, why: "It has stopped or hangs. Nothing below is live." };
  }
  const now = answer.now;
  // Between runs nobody waits for data; what is shown says so, and since when.
  const awaited = now.run_now !== "between";
  if (awaited && now.data_second !== null && since(answer.advanced_ns) > answer.silent_s) {
    return { stale: true, what: `No new data for ${span(since(answer.advanced_ns))}`, why: `What is shown below ended at ${when(now.data_second)} UTC.` };
  }
  const behind = now.data_second === null ? null : since(now.data_second * 1e9) - 1;
  return { stale: false, behind, old: awaited && behind > OLD_S };
}

function tick() {
  const fresh = freshness();
  document.body.classList.toggle("stale", fresh.stale);
  $("stale-what").textContent = fresh.what || "";
  $("stale-why").textContent = fresh.why || "";
  $("behind").textContent = fresh.stale || fresh.behind === null ? "–" : span(fresh.behind) + (fresh.old ? ", old data" : "");
  $("behind").classList.toggle("old", !fresh.stale && fresh.old);
  const quality = fresh.stale ? "null" : answer.now.quality;
  document.title = (fresh.stale ? "STALE" : LOOKS[quality].title) + " · calodqm";
  icon(quality);
  $("deadman").classList.toggle("renewed");   // restarts the animation that would show it
}

// What the tab says and shows.
const LOOKS = {
  good: { title: "Good", colour: "%2300795a", shape: "M2 9l4 4 8-9" },
  medium: { title: "Warning", colour: "%23f0a33a", shape: "M8 2l6 12H2z" },
  bad: { title: "BAD", colour: "%23c22f10", shape: "M3 3l10 10M13 3L3 13" },
  null: { title: "Not known", colour: "%23888", shape: "M3 8h10" },
  held: { title: "In hand", colour: "%23888", shape: "M8 8a3 3 0 1 0 0-6a3 3 0 0 0 0 6M2.5 14.5c.5-3 3-4.5 5.5-4.5s5 1.5 5.5 4.5" },
};
let shownIcon = "";
function icon(quality) {
  if (shownIcon === quality) return;
  shownIcon = quality;
  const { colour, shape } = LOOKS[quality];
  $("icon").href = `data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'><path d='${shape}' fill='none' stroke='${colour}' stroke-width='3'/></svg>`;
}

async function poll() {
  try {
    const reply = await fetch("/api/state", { cache: "no-store", signal: AbortSignal.timeout(3000) });
    if (reply.ok) {
      const said = await reply.json();
      // Behind one address there may be a stand-by as well: what the active judge said counts.
      if (said.role !== "active" && answer?.role === "active" && performance.now() - answeredAt < CUT_OFF_S * 1000) throw new Error("a stand-by answered");
      answer = said;
      answeredAt = performance.now();
      undrawn = said.now !== null;   // until it is
      if (undrawn) show(said);
      undrawn = false;
    }
  } catch (problem) {
    console.warn("no answer:", problem.message);   // freshness() tells the crew
  }
  tick();
  setTimeout(poll, POLL_MS);
}

// ---- what is shown --------------------------------------------------------------------------

function show({ now, service, channels }) {
  $("to-channels").hidden = !channels;
  document.body.dataset.quality = now.quality;
  $("detector").textContent = now.detector;
  $("run").textContent = now.run;
  $("lumisection").textContent = now.lumisection;
  $("clock").textContent = now.data_second === null ? "–" : when(now.data_second);
  const last = now.history.showers.slice(-10);
  $("rate").textContent = last.length ? number(last.reduce((a, b) => a + b, 0) / last.length) : "–";
  $("hero-mark").setAttribute("href", `#${now.quality}`);
  $("headline").textContent = now.headline;
  const loud = now.alarms.filter((alarm) => !alarm.taken);
  const first = loud.length ? Math.min(...loud.map((alarm) => alarm.onset_ns)) / 1e9 : null;
  $("since").textContent = first === null ? "" : `since ${when(first)} UTC, ${span(now.data_second - first)} of data`;
  board(now);
  alarms(now);
  worst(now);
  charts(now);
  trust(now, service);
}

// How much fits on a tile: with many regions only those that are not good have room for their name,
// and with thousands none has, so that one look shows them all.
const WIDEST = { few: 4, some: 8, many: 32, most: 128 };
const density = (columns, regions) =>
  columns <= 4 && regions <= 24 ? "few" : columns <= 8 && regions <= 64 ? "some" : regions <= 2048 ? "many" : "most";
const tiles = new Map();   // by region: its tile, and what is written on it

function board(now) {
  const sectors = new Map();
  for (const region of now.board) {
    if (!sectors.has(region.sector)) sectors.set(region.sector, []);
    sectors.get(region.sector).push(region);
  }
  const columns = Math.max(...[...sectors.values()].map((regions) => regions.length));
  const dense = density(columns, now.board.length);
  const box = $("board");
  box.className = dense;
  box.style.setProperty("--columns", Math.min(columns, WIDEST[dense]));
  const rows = outermost([...sectors], now.within).map(([name, regions, around]) => [name, regions.map((region) => tile(region, dense)), around]);
  const shown = [...box.querySelectorAll(".region")];
  const wanted = rows.flatMap(([, row]) => row);
  if (wanted.length === shown.length && wanted.every((element, i) => element === shown[i])) return;
  box.replaceChildren(...rows.flatMap(([name, row, around], i) => {
    const line = make("div", null, { class: "sector" }, [make("b", name), make("div", null, { class: "row" }, row)]);
    const begins = around && around !== rows[i - 1]?.[2];
    return begins ? [make("h4", around), line] : [line];
  }));
}

// Sectors of one outer sector stand together, with the names of those around them.
function outermost(sectors, within) {
  const around = new Map(within.map((path) => [path.at(-1), path.slice(0, -1).join(" / ")]));
  const groups = new Map();
  for (const [name, regions] of sectors) {
    const key = around.get(name) ?? "";
    groups.set(key, [...(groups.get(key) ?? []), [name, regions, key]]);
  }
  return [...groups.values()].flat();
}

function tile(region, dense) {
  const ratio = region.expected > 0 ? region.exceedances / region.expected : null;
  const times = ratio === null || region.quality === "null" ? "–" : `${ratio.toFixed(ratio < 10 ? 1 : 0)}×`;
  const words = region.masked ? "masked" : times;
  const title = `${region.name}: ${region.quality}. ${number(region.exceedances)} strange of ${number(region.showers)} showers, ${number(region.expected, 1)} expected. ${region.reason}`;
  const key = dense + title + words;
  const known = tiles.get(region.region);
  if (known?.key === key) return known.element;
  // The sector's name stands before the row.
  const own = (region.name.startsWith(region.sector) && region.name.slice(region.sector.length)) || region.name;
  const parts = dense === "most" ? [] : dense === "many" ? [make("b", own)] : [make("b", region.name), mark(region.quality), make("span", words)];
  const element = make("div", null, { class: "region", "data-quality": region.quality, title }, parts);
  tiles.set(region.region, { key, element });
  return element;
}

function alarms(now) {
  const order = ["page", "warning"];
  const sorted = [...now.alarms].sort((a, b) =>
    Boolean(a.taken) - Boolean(b.taken) || order.indexOf(a.severity) - order.indexOf(b.severity) || a.onset_ns - b.onset_ns);
  $("alarm-count").textContent = sorted.length ? `${sorted.length} open` : "";
  // One alarm has room for everything; of several the worst has, and the rest are told in a line.
  const loud = sorted.filter((alarm) => !alarm.taken);
  const cards = sorted.slice(0, MOST_ALARMS).map((alarm) => card(alarm, now, alarm === loud[0]));
  if (sorted.length > MOST_ALARMS) cards.push(make("p", `and ${sorted.length - MOST_ALARMS} more`, { class: "calm" }));
  if (!cards.length) cards.push(make("p", now.quality === "good" ? "No open alarm: nothing to do." : "No open alarm.", { class: "calm" }));
  const past = now.cleared.slice(0, 3).map((alarm) => `${alarm.summary}, ${when(alarm.onset_ns / 1e9)} to ${when(alarm.now_ns / 1e9)}`);
  if (past.length) cards.push(make("p", `Over: ${past.join("; ")}`, { class: "past" }));
  keep($("alarms"), cards);
}

function card(alarm, now, open) {
  const onset = alarm.onset_ns / 1e9;
  const children = [
    make("summary", null, {}, [
      make("h3", null, {}, [make("em", alarm.taken ? "in hand" : alarm.severity), make("span", alarm.summary)]),
      make("p", `Since ${when(onset)} UTC (${span(now.data_second - onset)} of data), ${alarm.level} ${alarm.place}, ${alarm.test}`, { class: "when" }),
    ]),
    make("p", alarm.text),
  ];
  const regions = alarm.regions.length > 1 ? alarm.regions : [];
  const shares = [...regions, ...alarm.cells, ...(alarm.channels ?? [])].slice(0, 8).map((part) => make("li", `${part.name} ${Math.round(100 * part.share)} %`));
  if (shares.length) children.push(make("ul", null, { class: "shares" }, shares));
  children.push(alarm.taken ? taken(alarm) : acts(alarm));
  const quality = alarm.taken ? "null" : LEVEL[alarm.severity];
  const details = make("details", null, { class: alarm.taken ? "alarm taken" : "alarm", "data-quality": quality, id: `alarm-${alarm.id}` }, children);
  details.open = chosen.get(alarm.id) ?? open;
  details.addEventListener("toggle", () => { if (details.isConnected && details.open !== (chosen.get(alarm.id) ?? open)) chosen.set(alarm.id, details.open); });
  return details;
}

function taken(alarm) {
  const act = alarm.taken;
  const until = act.until_ns === null ? "" : ` until ${when(act.until_ns / 1e9)} UTC`;
  return make("div", null, { class: "acts" }, [
    make("span", `${act.who}: ${act.cause}${until}`), ...(answer.acts ? [button("Lift", () => ask(alarm, true))] : [])]);
}

function button(text, pressed) {
  const element = make("button", text, { type: "button" });
  element.addEventListener("click", pressed);
  return element;
}

function acts(alarm) {
  const runbook = make("a", "What to do", { href: `/runbooks/${encodeURIComponent(alarm.runbook)}` });
  if (answer.acts) return make("div", null, { class: "acts" }, [runbook, button("In hand …", () => ask(alarm, false))]);
  const command = `calodqm ack ${alarm.id} --cause "..."`;
  return make("div", null, { class: "acts" }, [
    runbook, make("span", "When it is in hand:"), make("code", command),
    button("Copy", () => navigator.clipboard?.writeText(command)),
  ]);
}

// ---- acknowledging: only where the operator has switched it on ---------------------------------

let asked = null;          // the alarm that the dialog is about, and whether it is to be lifted
const HOURS = [["until it is lifted", null], ["for an hour of data", 1], ["for a shift, 8 hours of data", 8], ["for a day of data", 24]];

function options(select, rows) {
  select.replaceChildren(...rows.map(([text, value]) => make("option", text, { value: JSON.stringify(value) })));
}

function ask(alarm, lift) {
  asked = { alarm, lift };
  $("act").classList.toggle("lift", lift);
  $("act-title").textContent = lift ? "Lift: it is in nobody's hands again" : "In hand";
  $("act-what").textContent = alarm.summary;
  $("act-send").textContent = lift ? "Lift" : "Acknowledge";
  $("act-result").textContent = "";
  $("act-result").className = "";
  $("act-cause").value = "";
  const regions = alarm.regions.map((region) => region.name);
  const cells = alarm.regions.length === 1 ? alarm.cells.map((cell) => cell.name) : [];
  const masks = [["nothing", []]];
  if (cells.length) masks.push([`the cell ${cells[0]} of ${regions[0]}`, [`${regions[0]}:${cells[0]}`]]);
  if (cells.length > 1) masks.push([`all ${cells.length} cells named`, [`${regions[0]}:${cells.join(";")}`]]);
  const channels = (alarm.channels ?? []).map((channel) => channel.name);
  if (channels.length) {
    const groups = [];   // a mask has 500 characters at most
    for (let i = 0; i < channels.length; i += 16) groups.push(channels.slice(i, i + 16).join(";"));
    masks.push([channels.length === 1 ? `the channel ${channels[0]}` : `all ${channels.length} channels named`, groups.slice(0, 16)]);
  }
  if (regions.length) masks.push([regions.length === 1 ? `the region ${regions[0]}` : `all ${regions.length} regions named`, regions]);
  options($("act-mask"), masks);
  options($("act-until"), HOURS);
  $("act").showModal();
  $("act-who").focus();
}

function told(text, quality) {
  $("act-result").textContent = text;
  $("act-result").className = quality;
}

async function send() {
  const missing = ["act-who", "act-cause", "act-token"].find((id) => !$(id).value.trim());
  if (missing) { told("Name, cause and token are needed.", "bad"); $(missing).focus(); return; }
  const hours = asked.lift ? null : JSON.parse($("act-until").value);
  const act = {
    alarm: asked.alarm.id, who: $("act-who").value, cause: $("act-cause").value, lift: asked.lift,
    masks: asked.lift ? [] : JSON.parse($("act-mask").value),
    until_s: hours === null ? null : answer.now.data_second + hours * 3600,
  };
  $("act-send").disabled = true;
  told("Sending …", "");
  try {
    const reply = await fetch("/act", {
      method: "POST", body: JSON.stringify(act), signal: AbortSignal.timeout(30000),
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${$("act-token").value}` },
    });
    const said = await reply.json();
    if (reply.ok) told("Sent. The card changes as soon as the judge has read it.", "good");
    else told(`Not done: ${said.error}.`, "bad");
    if (reply.ok) setTimeout(() => $("act").close(), 1500);
  } catch (problem) {
    told(`Not known to be done: ${problem.message}. Look at the card before you try again.`, "bad");
  } finally {
    $("act-send").disabled = false;
  }
}

$("act-send").addEventListener("click", send);
$("act-cancel").addEventListener("click", () => $("act").close());

function worst(now) {
  // Showers of open alarms first: they are what the words above are about.
  const byP = (showers) => [...showers].sort((a, b) => a.p - b.p);
  const seen = new Map();
  for (const shower of [...byP(now.alarms.flatMap((alarm) => alarm.worst)), ...byP(now.worst)]) {
    const place = [shower.topic, shower.partition, shower.offset, shower.row].join("/");
    if (!seen.has(place)) seen.set(place, shower);
  }
  const strangest = [...seen].slice(0, 4);
  const names = new Map(now.board.map((region) => [region.region, region.name]));
  const figures = strangest.map(([place, shower]) => {
    const image = make("img", null, { src: `/pictures/${place}.svg?theme=${dark() ? "dark" : "light"}`, alt: `Shower ${shower.event_id}` });
    const caption = make("figcaption", null, { title: place }, [
      make("b", `${names.get(shower.region) ?? shower.region}, p = ${shower.p.toExponential(0)}`),
      document.createTextNode(`, ${when(Math.floor(shower.time_ns / 1e9))} UTC, event ${shower.event_id}`)]);
    image.addEventListener("error", () => image.replaceWith(make("p", "This shower is no longer kept.", { class: "past" })));
    return make("figure", null, { "data-key": image.src }, [make("a", null, { href: `/pictures/${place}.png` }, [image]), caption]);
  });
  if (!figures.length) figures.push(make("p", "None to show.", { class: "calm" }));
  keep($("worst"), figures);
}

// Elements that are the same are kept, so that pictures do not flicker and text stays selected.
function keep(parent, children) {
  const old = [...parent.children];
  const same = (a, b) => a && (b.dataset.key ? a.dataset.key === b.dataset.key : a.outerHTML === b.outerHTML);
  parent.replaceChildren(...children.map((child, i) => (same(old[i], child) ? old[i] : child)));
}

// ---- charts ---------------------------------------------------------------------------------

function charts(now) {
  const { second, showers, exceedances, expected } = now.history;
  const smooth = 5;
  const strange = mean(exceedances, smooth), hoped = mean(expected, smooth);
  const spread = hoped.map((e) => 3 * Math.sqrt(Math.max(e, 1e-9) / smooth));
  lines($("chart-strange"), second, strange, { mean: hoped, low: hoped.map((e, i) => Math.max(0, e - spread[i])), high: hoped.map((e, i) => e + spread[i]) });
  lines($("chart-showers"), second, showers);
  const combined = now.spectra.find((spectrum) => spectrum.name === "combined") || now.spectra.at(-1);
  spectrum($("chart-p"), combined);
}

function mean(values, width) {
  return values.map((_, i) => {
    const part = values.slice(Math.max(0, i - width + 1), i + 1);
    return part.reduce((a, b) => a + b, 0) / part.length;
  });
}

function frame(svg, left = 52) {
  const { width, height } = svg.getBoundingClientRect();
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren();
  return { width, height, left, right: width - 8, top: 8, bottom: height - 22 };
}

function nice(top) {
  const power = 10 ** Math.floor(Math.log10(top || 1));
  return [1, 2, 2.5, 5, 10].map((m) => m * power).find((value) => value >= top) || 1;
}

function lines(svg, second, seen, band) {
  const box = frame(svg);
  if (seen.length < 2) return svg.append(draw("text", { x: box.left, y: 30 }, "Not enough data yet"));
  const top = nice(1.02 * Math.max(...seen, ...(band ? band.high : []), 1e-9));
  const from = second[0], length = Math.max(1, second.at(-1) - from);
  const x = (i) => box.left + ((second[i] - from) / length) * (box.right - box.left);
  const y = (v) => box.bottom - (v / top) * (box.bottom - box.top);
  for (const v of [0, top / 2, top]) {
    svg.append(draw("path", { class: "axis", d: `M${box.left} ${y(v)}H${box.right}` }));
    svg.append(draw("text", { x: box.left - 8, y: y(v) + 5, "text-anchor": "end" }, number(v, 2)));
  }
  for (const share of [0, 0.5, 1]) {
    const anchor = { 0: "start", 0.5: "middle", 1: "end" }[share];
    svg.append(draw("text", { x: box.left + share * (box.right - box.left), y: box.bottom + 18, "text-anchor": anchor }, clock(Math.round(from + share * length))));
  }
  // A hole in the data is drawn as a hole, never as a straight line.
  const path = (values) => values.map((v, i) => `${i && second[i] - second[i - 1] <= 2 ? "L" : "M"}${x(i).toFixed(1)} ${y(v).toFixed(1)}`).join("");
  if (band) {
    const back = band.low.map((v, i) => `L${x(i).toFixed(1)} ${y(v).toFixed(1)}`).reverse().join("");
    svg.append(draw("path", { class: "band", d: band.high.map((v, i) => `${i ? "L" : "M"}${x(i).toFixed(1)} ${y(v).toFixed(1)}`).join("") + back + "Z" }));
    svg.append(draw("path", { class: "mean", d: path(band.mean) }));
  }
  svg.append(draw("path", { class: "seen", d: path(seen) }));
}

function spectrum(svg, p) {
  const box = frame(svg, 40);
  if (!p || !p.counts.some((n) => n > 0)) return svg.append(draw("text", { x: box.left, y: 30 }, "Not enough data yet"));
  const n = p.counts.length, step = (box.right - box.left) / n;
  const most = 4;                                  // ratios 1/4 to 4 on a log scale; beyond is drawn at the edge
  const y = (ratio) => (box.top + box.bottom) / 2 - (Math.log(Math.min(most, Math.max(1 / most, ratio))) / Math.log(most)) * ((box.bottom - box.top) / 2 - 6);
  for (const [ratio, text] of [[0.25, "¼"], [0.5, "½"], [1, "1"], [2, "2"], [4, "4"]]) {
    svg.append(draw("path", { class: ratio === 1 ? "mean" : "axis", d: `M${box.left} ${y(ratio)}H${box.right}` }));
    svg.append(draw("text", { x: box.left - 8, y: y(ratio) + 5, "text-anchor": "end" }, text));
  }
  p.counts.forEach((count, i) => {
    const expected = p.expected[i];
    if (!(expected > 0)) return;
    const error = Math.max(1, Math.sqrt(expected)) / expected, ratio = count / expected;
    const out = Math.abs(count - expected) > 4 * Math.max(1, Math.sqrt(expected));
    const x = box.left + (i + 0.5) * step;
    svg.append(draw("path", { class: out ? "bar-out" : "bar-in", d: `M${x} ${y(ratio - error)}V${y(ratio + error)}` }));
    svg.append(out ? draw("rect", { class: "out", x: x - 5, y: y(ratio) - 5, width: 10, height: 10 }) : draw("circle", { class: "in", cx: x, cy: y(ratio), r: 4 }));
  });
  svg.append(draw("text", { x: box.left, y: box.bottom + 18 }, "p < 0.0001"));
  svg.append(draw("text", { x: box.right, y: box.bottom + 18, "text-anchor": "end" }, "p near 1"));
}

// ---- trust ----------------------------------------------------------------------------------

function trust(now, service) {
  const { budget, reference } = now;
  const rows = [
    ["False pages", `one allowed in ${number(budget.days)} days; ${number(budget.allowed, 2)} allowed so far, ${budget.pages} page${budget.pages === 1 ? "" : "s"} raised`],
    ["Watched", `${span(budget.watched_days * 86400)} of data`],
    ["Measured against", `${reference.origin} reference of ${number(reference.showers)} showers`],
  ];
  if (now.reference_awaited) rows.push(["Reference", now.reference_awaited]);
  if (now.reference_distance !== null) rows.push(["Live against certified", `distance ${number(now.reference_distance, 4)}`]);
  for (const test of now.self_tests) {
    const worry = test.injected >= 5 && test.found < 0.8 * test.injected;
    const delay = test.delay_s === null ? "" : `, after ${number(test.delay_s)} s`;
    rows.push([`Self-test: ${test.fault}`, `${test.found} of ${test.injected} found${delay}`, worry]);
  }
  for (const [name, entry] of Object.entries(service)) rows.push([name, entry.text, entry.worry]);
  keep($("trust"), rows.flatMap(([name, text, worry]) => [make("dt", name), make("dd", text, worry ? { class: "worry" } : {})]));
}

setInterval(tick, 500);
poll();
