// SPDX-License-Identifier: Apache-2.0
// node speedscope_check.cjs FILE: opens FILE in speedscope's own page (npm packages speedscope and jsdom, found through
// NODE_PATH) and prints as JSON what the page's title became and what it said. The page has no canvas to draw on; what
// is asked is whether its importer takes the file: then the title carries the profile's name.
const fs = require('fs'), path = require('path');
const { JSDOM, VirtualConsole } = require('jsdom');

const release = path.join(path.dirname(require.resolve('speedscope/package.json')), 'dist', 'release');
const bundle = fs.readdirSync(release).find((name) => /^speedscope-.*\.js$/.test(name));
const profile = fs.readFileSync(process.argv[2]);
const said = [];
const listener = new VirtualConsole();
for (const kind of ['log', 'error', 'warn', 'jsdomError']) {
  listener.on(kind, (...words) => said.push(words.map(String).join(' ').slice(0, 200)));
}
const page = new JSDOM('<!DOCTYPE html><title>speedscope</title><body></body>', {
  runScripts: 'outside-only',
  pretendToBeVisual: true,
  url: 'http://localhost/#profileURL=' + encodeURIComponent('http://localhost/profile.json'),
  virtualConsole: listener,
});
const { window } = page;
window.HTMLCanvasElement.prototype.getContext = () => null;
window.alert = (text) => said.push(text);
window.TextDecoder = TextDecoder;
window.TextEncoder = TextEncoder;
window.fetch = async () => new Response(profile);
const nothing = () => {};
window.matchMedia = () => ({
  matches: false,
  addListener: nothing,
  removeListener: nothing,
  addEventListener: nothing,
  removeEventListener: nothing,
});
process.on('uncaughtException', (error) => said.push(`uncaught ${error.message}`));
process.on('unhandledRejection', (error) => said.push(`unhandled ${error}`));
window.eval(fs.readFileSync(path.join(release, bundle), 'utf8'));

const isOver = () => window.document.title !== 'speedscope' || said.some((line) => line.includes('Failed to load'));
const deadline = Date.now() + 60000;
const poll = setInterval(() => {
  if (!isOver() && Date.now() < deadline) return;
  clearInterval(poll);
  console.log(JSON.stringify({ title: window.document.title, said }));
  process.exit(0);
}, 20);
