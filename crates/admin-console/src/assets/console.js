// The console's only script. Every page is whole without it; it keeps open pages up to date, writes times as people
// say them, and offers to copy commands. It makes no HTML: it asks for the page again and takes over what differs.
"use strict";

(() => {
  const AT_MOST_EVERY = 1000;
  const WITHOUT_STREAM_EVERY = 5000;
  const policy = window.trustedTypes
    ? window.trustedTypes.createPolicy("archway", { createHTML: (page) => page })
    : { createHTML: (page) => page };
  const body = document.body;

  // ---- Times -------------------------------------------------------------------------------------------------------
  const words = new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: "auto", style: "short" });
  const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

  function spoken(date) {
    const seconds = Math.round((date.getTime() - Date.now()) / 1000);
    const [unit, length] = units.find(([, length]) => Math.abs(seconds) >= length) ?? units[3];
    return words.format(Math.trunc(seconds / length), unit);
  }

  function tellTimes() {
    for (const time of document.querySelectorAll("time[datetime]")) {
      const date = new Date(time.dateTime);
      if (!Number.isNaN(date.getTime())) {
        time.title = time.dateTime;
        const text = spoken(date);
        if (time.textContent !== text) time.textContent = text;
      }
    }
  }

  // ---- Commands ----------------------------------------------------------------------------------------------------
  function offerCopies() {
    if (!navigator.clipboard) return;
    for (const command of document.querySelectorAll(".command:not([data-offers])")) {
      command.dataset.offers = "copy";
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = body.dataset.copy;
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(command.querySelector("code").textContent);
        button.textContent = body.dataset.copied;
        setTimeout(() => { button.textContent = body.dataset.copy; }, 2000);
      });
      command.append(button);
    }
  }

  // ---- A page that changed -----------------------------------------------------------------------------------------
  // What the reader opened, and what this script added, stays.
  const isOurs = (node) => node.nodeName === "BUTTON" && node.parentElement?.dataset.offers;

  function takeOver(old, fresh) {
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    for (const { name } of [...old.attributes]) {
      const kept = name === "title" || name === "open" || name === "data-offers";
      if (!kept && !fresh.hasAttribute(name)) old.removeAttribute(name);
    }
    const before = [...old.childNodes].filter((node) => !isOurs(node));
    const after = [...fresh.childNodes];
    after.forEach((node, place) => {
      const here = before[place];
      if (!here) {
        old.append(document.importNode(node, true));
      } else if (here.nodeName !== node.nodeName || here.id !== node.id) {
        here.replaceWith(document.importNode(node, true));
      } else if (here.nodeType === Node.TEXT_NODE) {
        const isTime = old.nodeName === "TIME";
        if (!isTime && here.data !== node.data) here.data = node.data;
      } else if (here.nodeType === Node.ELEMENT_NODE && !here.isEqualNode(node)) {
        takeOver(here, node);
      }
    });
    before.slice(after.length).forEach((node) => node.remove());
  }

  async function refresh() {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(policy.createHTML(await answer.text()), "text/html");
    const [old, fresh] = [document.querySelector("main"), page.querySelector("main")];
    if (old && fresh) takeOver(old, fresh);
    tellTimes();
    offerCopies();
  }

  // ---- When to look again ------------------------------------------------------------------------------------------
  // One refresh at a time, and one more for all that was told meanwhile.
  let isBusy = false;
  let isTold = false;

  async function changed() {
    isTold = true;
    if (isBusy) return;
    isBusy = true;
    while (isTold && !document.hidden) {
      isTold = false;
      // An answer that does not come is no reason to stop looking.
      await refresh().catch(() => {});
      await new Promise((resume) => { setTimeout(resume, AT_MOST_EVERY); });
    }
    isBusy = false;
  }

  // A browser allows six connections to a server, and a stream holds one: a hidden page gives its stream back.
  let stream = null;
  let timer = null;

  function follow() {
    const topics = document.querySelector("main").dataset.live;
    if (!topics || document.hidden || stream) return;
    clearInterval(timer);
    stream = new EventSource(`_archway/v1/stream?topics=${topics}`);
    stream.addEventListener("message", changed);
    for (const topic of topics.split(",")) stream.addEventListener(topic, changed);
    stream.addEventListener("error", () => {
      if (stream?.readyState !== EventSource.CLOSED) return;
      stream = null;
      clearInterval(timer);
      timer = setInterval(changed, WITHOUT_STREAM_EVERY);
    });
  }

  function rest() {
    stream?.close();
    stream = null;
    clearInterval(timer);
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return rest();
    follow();
    if (body.querySelector("main").dataset.live) changed();
  });
  window.addEventListener("pagehide", rest);
  window.addEventListener("pageshow", follow);

  tellTimes();
  setInterval(tellTimes, 10_000);
  offerCopies();
  follow();
})();
