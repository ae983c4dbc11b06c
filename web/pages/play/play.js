// SPDX-License-Identifier: MPL-2.0

import { AUDIO, VIDEO } from "../effects.js";
import { freshName } from "../form.js";
import { openLab } from "../lab.js";

openLab({
  defaults: { userId: freshName("user"), audioFx: AUDIO[0].fx, videoFx: VIDEO[2].fx },
  fixed: { size: 1, recordingMode: "none", namespace: "play", duration: 300 },
  mounts: () => true,
  restarts: true,
});
