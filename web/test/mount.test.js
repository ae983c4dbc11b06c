// SPDX-License-Identifier: MPL-2.0

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Mount } from "../lib/mount.js";
import { root } from "./fakes/dom.js";
import { settle } from "./fakes/clock.js";
import { FakeStream, FakeTrack } from "./fakes/media.js";

/** @type {any} */ let place;
/** @type {any} */ let mount;

beforeEach(() => {
  place = root();
  mount = new Mount(place);
});

/** @param {string} id */
function person(id) {
  const audio = new FakeTrack("audio");
  const video = new FakeTrack("video");
  return { stream: new FakeStream(id, [audio, video]), audio, video };
}

const names = () => place.children.map((/** @type {any} */ child) => `${child.name} ${child.dataset.userId ?? "?"}`);

test("each track gets an element that plays; a picture is silent and stays in the page", () => {
  const b = person("s-b");
  mount.show(b.audio, b.stream);
  mount.show(b.video, b.stream);
  const [audio, video] = place.children;
  assert.deepEqual([audio.name, audio.muted, audio.autoplay, audio.played], ["audio", false, true, 1]);
  assert.deepEqual([video.name, video.muted, video.attributes.playsinline, video.srcObject], ["video", true, "", b.stream]);
});

test("elements carry the user's name, whether it comes before the track or after", () => {
  const [b, c] = [person("s-b"), person("s-c")];
  mount.meet("b", "s-b");
  mount.show(b.audio, b.stream);
  mount.show(c.audio, c.stream);
  assert.deepEqual(names(), ["audio b", "audio ?"]);
  mount.meet("c", "s-c");
  assert.deepEqual(names(), ["audio b", "audio c"]);
});

test("who left is taken away, by stream or by user alone, and nobody else", () => {
  for (const streamId of ["s-b", undefined]) {
    place = root();
    mount = new Mount(place);
    for (const id of ["b", "c"]) {
      const one = person(`s-${id}`);
      mount.meet(id, `s-${id}`);
      mount.show(one.audio, one.stream);
      mount.show(one.video, one.stream);
    }
    mount.part("b", streamId);
    assert.deepEqual(names(), ["audio c", "video c"]);
  }
});

test("who comes back is shown again", () => {
  const b = person("s-b");
  mount.meet("b", "s-b");
  mount.show(b.video, b.stream);
  mount.part("b", "s-b");
  const again = person("s-b");
  mount.meet("b", "s-b");
  mount.show(again.video, again.stream);
  assert.deepEqual(names(), ["video b"]);
  assert.equal(place.children[0].srcObject, again.stream);
});

test("a new track of a stream and kind takes the place of the old one, whose end then changes nothing", () => {
  const [old, fresh] = [person("s-b"), person("s-b")];
  mount.show(old.video, old.stream);
  const [element] = place.children;
  mount.show(fresh.video, fresh.stream);
  assert.deepEqual(place.children, [element]);
  assert.equal(element.srcObject, fresh.stream);
  mount.hide(old.video, old.stream);
  assert.deepEqual(place.children, [element]);
  mount.hide(fresh.video, fresh.stream);
  assert.deepEqual(place.children, []);
  assert.equal(element.srcObject, null);
});

test("a silent track is marked", () => {
  const b = person("s-b");
  b.video.muted = true;
  mount.show(b.video, b.stream);
  const [element] = place.children;
  assert.ok("muted" in element.dataset);
  b.video.muted = false;
  b.video.onunmute();
  assert.ok(!("muted" in element.dataset));
});

test("what the browser does not let play starts with the first touch", async () => {
  place.ownerDocument.autoplay = false;
  for (const id of ["s-b", "s-c"]) {
    const one = person(id);
    mount.show(one.audio, one.stream);
  }
  await settle();
  place.ownerDocument.autoplay = true;
  place.ownerDocument.dispatchEvent(new Event("pointerdown"));
  place.ownerDocument.dispatchEvent(new Event("pointerdown"));
  assert.deepEqual(place.children.map((/** @type {any} */ child) => child.played), [1, 1]);
});

test("clear takes away what the mount added and leaves what the page had", () => {
  const own = place.ownerDocument.createElement("p");
  place.appendChild(own);
  const b = person("s-b");
  mount.show(b.audio, b.stream);
  mount.clear();
  assert.deepEqual(place.children, [own]);
});
