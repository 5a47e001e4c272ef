// SPDX-License-Identifier: Apache-2.0
// The page of a server: which captures there are, one or two of them shown, kept up to date by the server's news.

import type { App } from "./app";
import { el, setText } from "./dom";
import { mountPage } from "./page";
import { follow, type Entry } from "./serve_api";
import { fillOptions } from "./serve_choice";
import { Downloads } from "./serve_downloads";
import { Differences, mountColumn, together } from "./serve_pair";
import { Pane } from "./serve_pane";
import { State } from "./state";
import "./serve.css";

/** The key of the fragment that names the second capture. */
const BESIDE = "beside";

/** Starts the page. */
export function startServed(host: HTMLElement, state: State): void {
  new Served(host, state);
}

class Served {
  private entries: Entry[] = [];
  private left: Pane | null = null;
  private right: { pane: Pane; state: State; part: () => void; differences: Differences } | null = null;
  private readonly choice = el("select", { change: () => this.choose(this.choice.value) });
  private readonly beside = el("select", { change: () => this.state.setMore(BESIDE, this.beside.value || null) });
  private readonly choices = el(
    "div",
    { class: "serve-choices", hidden: true },
    el("label", {}, "Capture ", this.choice),
    el("label", {}, "beside ", this.beside),
  );
  private readonly following = el("p", { class: "serve-following", role: "status" });
  private readonly downloads = new Downloads(() => this.left?.app ?? null);
  private readonly panes = el("div", { class: "serve-panes" });
  private readonly below = el("div");
  private readonly body = el("div", {}, this.panes, this.below);

  constructor(
    host: HTMLElement,
    private readonly state: State,
  ) {
    const bar = el("nav", { class: "serve-bar", "aria-label": "Captures" }, this.choices, this.following, this.downloads.element);
    host.replaceChildren(bar, this.body);
    state.subscribe((change) => {
      if (change.has("capture") || change.has("more")) this.draw();
    });
    follow(
      (entries) => {
        this.entries = entries;
        this.draw();
      },
      (gone) => {
        bar.classList.toggle("gone", gone);
        if (gone) setText(this.following, "The server does not answer. What is shown stays.");
        else this.draw();
      },
    );
  }

  private choose(id: string): void {
    // Snapshot numbers and a path of frames mean nothing in another recording.
    this.state.set({ capture: id, a: null, b: null, focus: "" });
  }

  private get chosen(): Entry | undefined {
    return this.entries.find((entry) => entry.id === this.state.now.capture) ?? this.entries[0];
  }

  private get other(): Entry | undefined {
    const id = this.state.now.more[BESIDE];
    return id === this.chosen?.id ? undefined : this.entries.find((entry) => entry.id === id);
  }

  private draw(): void {
    const { chosen, other } = this;
    if (!chosen) return;
    this.drawChoices(chosen, other);
    setText(this.following, statusText(chosen, this.left?.app ?? null));
    if (!other !== !this.right || !this.left) this.arrange(other !== undefined);
    this.left!.show(chosen);
    if (other) this.right!.pane.show(other);
  }

  private drawChoices(chosen: Entry, other: Entry | undefined): void {
    this.choices.hidden = this.entries.length < 2;
    fillOptions(this.choice, this.entries.map((entry) => [entry.id, entry.name]), chosen.id);
    const rest = this.entries.filter((entry) => entry.id !== chosen.id);
    fillOptions(this.beside, [["", "nothing"], ...rest.map((entry): [string, string] => [entry.id, entry.name])], other?.id ?? "");
  }

  /** One capture with everything, or two columns. */
  private arrange(two: boolean): void {
    this.left?.close();
    this.right?.pane.close();
    this.right?.part();
    this.below.replaceChildren();
    this.panes.classList.toggle("two", two);
    if (two) this.body.setAttribute("role", "main"); // alone, a page brings its own
    else this.body.removeAttribute("role");
    const ready = (app: App) => {
      if (this.chosen) setText(this.following, statusText(this.chosen, app));
      document.title = `${app.header.title}: heaptide`;
      this.right?.differences.update();
    };
    this.left = new Pane(this.state, two ? mountColumn : mountPage, ready);
    this.panes.append(this.left.element);
    this.right = two ? this.besideThat() : null;
  }

  private besideThat() {
    const state = new State({ ...this.state.now, a: null, b: null, focus: "", capture: "", more: {} });
    const differences = new Differences(() => [this.left?.app ?? null, pane.app]);
    const pane: Pane = new Pane(state, mountColumn, () => differences.update());
    const parts = [together(this.state, state), this.state.subscribe(() => differences.update()), state.subscribe(() => differences.update())];
    this.panes.append(pane.element);
    this.below.append(differences.element);
    return { pane, state, differences, part: () => parts.forEach((part) => part()) };
  }
}

function statusText(entry: Entry, app: App | null): string {
  if (entry.state === "loading") return "Being read.";
  if (entry.state === "failed") return "Cannot be shown.";
  if (app?.header.moments.kind.every((kind) => kind === "file")) return ""; // another tool's profile
  if (entry.live) return "Recording goes on: the page updates itself.";
  return entry.message ? "" : "The recording has ended.";
}
