// SPDX-License-Identifier: Apache-2.0
// d3-flame-graph as its readme has it: icicles, without transitions, over the tree that stands in the page.
import flamegraph from "d3-flame-graph";
import { select } from "d3-selection";

const data = JSON.parse(document.getElementById("data").textContent);
const chart = flamegraph().width(innerWidth).cellHeight(20).inverted(true).sort(true).transitionDuration(0);
const least = Number(new URLSearchParams(location.hash.slice(1)).get("least"));
if (least) chart.minFrameSize(least);
select("#chart").datum(data).call(chart);
