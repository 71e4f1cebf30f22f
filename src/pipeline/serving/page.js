"use strict";
const at = id => document.getElementById(id);
let labels = [], examples = [];

function element(kind, name, text) {
  const made = document.createElement(kind);
  made.className = name;
  if (text !== undefined) made.textContent = text;
  return made;
}

function show(example) {
  at("question").value = example.question;
  at("passages").value = example.passages.map(one => one.text).join("\n");
}

function known(question, passage) {
  const example = examples.find(one => one.question === question);
  return example && example.passages.find(one => one.text === passage);
}

function line(result, question, ranks) {
  const item = element("li", "");
  const head = element("div", "head");
  head.append(element("span", "score", ranks ? result.score.toFixed(3) : result.label));
  if (!ranks) head.append(element("span", "note", `probability ${result.probability.toFixed(3)}`));
  const example = known(question, result.passage);
  if (example && example.teachers !== null) {
    const theirs = ranks ? example.teachers.toFixed(3) : example.teachers;
    head.append(element("span", "note teachers", `teachers' mean ${theirs}`));
    if (example.label) head.append(element("span", "note", `gold label ${example.label}`));
  }
  const meter = element("div", "meter"), bar = element("div", "");
  bar.style.width = `${100 * (ranks ? result.score : result.probability)}%`;
  meter.append(bar);
  item.append(head, meter, element("div", "text", result.passage));
  return item;
}

async function score(event) {
  event.preventDefault();
  const question = at("question").value;
  const passages = at("passages").value.split("\n").map(one => one.trim()).filter(one => one);
  at("results").replaceChildren();
  at("said").textContent = "";
  try {
    const answer = await fetch("/score", {
      method: "POST",
      headers: {"Content-Type": "application/json"},
      body: JSON.stringify({question, passages}),
    });
    const content = await answer.json();
    if (!answer.ok) throw new Error(content.error);
    const ranks = labels.length === 2;
    const results = content.probabilities.map((own, i) => {
      const probability = Math.max(...own);
      return {passage: passages[i], probability, label: labels[own.indexOf(probability)], score: own[own.length - 1]};
    });
    if (ranks) results.sort((a, b) => b.score - a.score);
    const what = ranks ? `ranked by the probability of "${labels[1]}"` : "in the order given";
    at("said").textContent = `${results.length} passages, ${what}: ${content.milliseconds.toFixed(1)} ms`;
    at("results").append(...results.map(one => line(one, question, ranks)));
  } catch (error) {
    at("said").textContent = `No scores: ${error.message}`;
  }
}

async function start() {
  ({labels, examples} = await (await fetch("/state")).json());
  at("form").addEventListener("submit", score);
  at("examples").addEventListener("change", () => show(examples[at("examples").value]));
  examples.forEach((example, i) => {
    const option = element("option", "", example.question);
    option.value = i;
    at("examples").append(option);
  });
  if (examples.length) {
    at("choose").hidden = false;
    show(examples[0]);
    at("form").requestSubmit();
  }
}
start().catch(error => { at("said").textContent = `No answer: ${error.message}`; });
