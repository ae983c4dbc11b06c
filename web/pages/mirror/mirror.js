// SPDX-License-Identifier: MPL-2.0

import { freshName } from "../form.js";
import { write } from "../gallery.js";
import { openLab } from "../lab.js";

void openLab({
  defaults: ({ audio, video }) => ({
    interactionName: freshName("mirror"),
    userId: freshName("user"),
    audioFx: audio[0] ? write(audio[0], "voice") : "",
    videoFx: video[0] ? write(video[0], "face") : "",
  }),
  fixed: { size: 1 },
  without: ["size", "mount"],
  mounts: () => true,
});
