// SPDX-License-Identifier: MPL-2.0

/**
 * @file Which ways there are between this browser and the outside: the candidates that it finds
 * with the ICE servers of this DuckSoup server, or with others.
 */

import { freshName, signalingUrl } from "../form.js";
import { decode, encode, socketUrl } from "../../lib/protocol.js";

/** How long the search may take, in ms. */
const LIMIT = 15_000;

const form = /** @type {HTMLFormElement} */ (document.querySelector("#ice"));
const servers = /** @type {HTMLTextAreaElement} */ (document.querySelector("#servers"));
const words = /** @type {HTMLElement} */ (document.querySelector("#state"));
const rows = /** @type {HTMLElement} */ (document.querySelector("#candidates"));

document.querySelector("#ask")?.addEventListener("click", ask);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  void gather();
});

/** The server names its ICE servers to those who join; so this joins, reads, and leaves. */
function ask() {
  const socket = new WebSocket(socketUrl(signalingUrl(location.href), location.href));
  socket.onopen = () => socket.send(encode("join", { interactionName: freshName("ice"), userId: "ice", namespace: "ice", size: 1, audioOnly: true, recordingMode: "none", duration: 1 }));
  socket.onmessage = ({ data }) => {
    const message = decode(String(data));
    if (message.kind === "joined") {
      servers.value = JSON.stringify(message.payload.iceServers, null, 2);
      show("idle", `the server names ${message.payload.iceServers.length}`);
      socket.send(encode("stop"));
    } else if (message.kind === "error") {
      show("error", message.name);
    } else {
      return;
    }
    socket.close(1000);
  };
  socket.onerror = () => show("error", "the server did not accept the connection");
}

async function gather() {
  rows.replaceChildren();
  /** @type {RTCPeerConnection} */
  let connection;
  try {
    connection = new RTCPeerConnection({ iceServers: JSON.parse(servers.value || "[]") });
  } catch (reason) {
    show("error", String(reason));
    return;
  }
  show("joining", "searching");
  connection.addEventListener("icecandidate", ({ candidate }) => {
    if (candidate?.candidate) add([candidate.type, candidate.protocol, `${candidate.address}:${candidate.port}`, candidate.relatedAddress ?? ""]);
  });
  connection.addEventListener("icecandidateerror", ({ errorCode, errorText, url }) => add(["error", String(errorCode), url, errorText]));
  const done = new Promise((resolve) => {
    setTimeout(resolve, LIMIT);
    connection.addEventListener("icegatheringstatechange", () => connection.iceGatheringState === "complete" && resolve(undefined));
  });
  connection.addTransceiver("audio");
  await connection.setLocalDescription();
  await done;
  show("running", `${rows.childElementCount} found`);
  connection.close();
}

/** @param {(string | null)[]} cells */
function add(cells) {
  const row = document.createElement("tr");
  for (const text of cells) {
    const cell = document.createElement("td");
    cell.textContent = text;
    row.append(cell);
  }
  rows.append(row);
}

/** @param {string} state @param {string} text */
function show(state, text) {
  document.body.dataset.state = state;
  words.textContent = text;
}
