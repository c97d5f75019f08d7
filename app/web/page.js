"use strict";

const form = document.getElementById("form");
const table = document.getElementById("files");
const rows = table.querySelector("tbody");
const result = document.getElementById("result");
const OTHER = "other";
let marks = [];

function element(name, text, className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  return made;
}

async function loadModel() {
  const models = await (await fetch("v1/models")).json();
  const model = models.find((m) => m.default);
  marks = model.marks;
  document.getElementById("model").textContent =
    `Model ${model.name} ${model.version}: ${marks.join(", ")}; ${model.assembly}, ${model.bin_size_bp}-bp bins.`;
}

// As app/core/assays.py reads names, for histone marks: H3k04me3, K4me3_rep1, H3K4me3rep1.
function markOf(name) {
  const histoneMark = /(?:(H(?:2A|2B|1|3|4))[ ._-]?|(?<![A-Z0-9]))([KR])0*([0-9]{1,3})(me[0-9]+|ac|ub)/gi;
  const found = new Set();
  for (const [, histone = "H3", letter, number, modification] of name.matchAll(histoneMark))
    found.add(`${histone}${letter}${number}${modification}`.toUpperCase());
  const words = name.toUpperCase().split(/[^A-Z0-9]+/);
  for (const mark of marks) if (words.includes(mark.toUpperCase())) found.add(mark.toUpperCase());
  const [only] = found;
  if (found.size !== 1) return "";
  const slip = /ME([^1-3]|[0-9]{2,})$/.test(only); // H3K4me33
  return marks.find((mark) => mark.toUpperCase() === only) ?? (slip ? "" : OTHER);
}

function listFiles() {
  rows.replaceChildren();
  for (const file of form.tracks.files) {
    const select = document.createElement("select");
    select.required = true;
    select.setAttribute("aria-label", `Mark of ${file.name}`);
    select.append(new Option("choose …", ""), ...marks.map((mark) => new Option(mark, mark)));
    select.append(new Option("another mark: left out", OTHER));
    select.value = markOf(file.name);
    const hide = document.createElement("input");
    hide.type = "checkbox";
    hide.setAttribute("aria-label", `Hide and score ${file.name}`);
    const row = document.createElement("tr");
    for (const child of [document.createTextNode(file.name), select, hide]) {
      const cell = document.createElement("td");
      cell.append(child);
      row.append(cell);
    }
    rows.append(row);
  }
  table.hidden = !rows.children.length;
}

function request(format, target) {
  const body = new FormData();
  [...form.tracks.files].forEach((file, i) => {
    const mark = rows.children[i].querySelector("select").value;
    if (mark === OTHER) return; // the model would set it aside
    body.append("tracks", file);
    body.append("marks", mark);
    if (rows.children[i].querySelector("input").checked) body.append("mask", mark);
  });
  if (form.region.value.trim()) body.append("region", form.region.value);
  if (target) body.append("targets", target);
  body.append("format", format);
  return fetch("v1/impute", { method: "POST", body });
}

function draw(canvas, values) {
  const scale = window.devicePixelRatio || 1;
  canvas.width = canvas.clientWidth * scale;
  canvas.height = canvas.clientHeight * scale;
  const pen = canvas.getContext("2d");
  pen.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--imputed");
  const top = Math.max(1, values.reduce((a, b) => Math.max(a, b ?? 0), 0));
  for (let x = 0; x < canvas.width; x++) {
    const from = Math.floor((x * values.length) / canvas.width);
    const to = Math.max(from + 1, Math.floor(((x + 1) * values.length) / canvas.width));
    const height = (values.slice(from, to).reduce((a, b) => Math.max(a, b ?? 0), 0) / top) * canvas.height;
    pen.fillRect(x, canvas.height - height, 1, height);
  }
  return top;
}

function show(answer) {
  result.hidden = false;
  result.replaceChildren(element("h2", answer.region), element("p", `From ${answer.observed.join(", ")}.`));
  for (const warning of answer.warnings) result.append(element("p", warning, "warning"));
  for (const track of answer.tracks) {
    const canvas = document.createElement("canvas");
    const heading = element("h3", track.mark);
    const button = element("button", `Download ${track.mark} as bigWig`);
    button.addEventListener("click", () => download(button, track.mark));
    result.append(heading, canvas, button);
    const top = draw(canvas, track.values);
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `Imputed ${track.mark}, up to ${top.toFixed(1)} -log10 p`);
    const round = (value) => (value == null ? "–" : value.toFixed(3));
    const score = track.score
      ? ` · hidden from the model; against your file: Pearson ${round(track.score.pearson)}, Spearman ` +
        `${round(track.score.spearman)}, MSE of arcsinh ${round(track.score.mse_arcsinh)}`
      : "";
    const trust = `to expect on a new sample: ${expected(answer.trust[track.mark])}`;
    heading.append(element("small", ` imputed, 0 to ${top.toFixed(1)} -log10 p · ${trust}${score}`));
  }
}

function expected(trust) {
  const r = (accuracy) => (accuracy?.pearson == null ? "unknown" : accuracy.pearson.toFixed(2));
  const share = trust.panel_share;
  if (share === null || share === 0) return `r ${r(trust.without_panel)}`;
  if (share === 1) return `r ${r(trust.with_panel)}`;
  const percent = share < 0.01 ? "<1" : share > 0.99 ? ">99" : Math.round(100 * share);
  return `r ${r(trust.with_panel)} with panel (${percent}%), ${r(trust.without_panel)} without`;
}

async function explain(response) {
  const problem = document.getElementById("problem");
  const text = await response.json().catch(() => ({}));
  problem.textContent = text.detail || `The server answered ${response.status}.`;
  problem.hidden = false;
}

// As the service calls it: after the sample, so that two downloads never collide.
function fileName(response) {
  const header = response.headers.get("Content-Disposition");
  const encoded = header.match(/filename\*=UTF-8''([^;]+)/);
  return encoded ? decodeURIComponent(encoded[1]) : header.match(/filename="([^"]*)"/)[1];
}

async function download(button, mark) {
  button.disabled = true;
  const response = await request("bigwig", mark);
  if (response.ok) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await response.blob());
    link.download = fileName(response);
    link.click();
    URL.revokeObjectURL(link.href);
  } else await explain(response);
  button.disabled = false;
}

form.tracks.addEventListener("change", listFiles);
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  const status = document.getElementById("status");
  document.getElementById("problem").hidden = true;
  result.hidden = true;
  button.disabled = true;
  status.textContent = "Uploading and imputing …";
  try {
    const response = await request("json");
    if (response.ok) show(await response.json());
    else await explain(response);
  } finally {
    status.textContent = "";
    button.disabled = false;
  }
});
loadModel();
