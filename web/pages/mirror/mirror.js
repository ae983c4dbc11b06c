// SPDX-License-Identifier: MPL-2.0

import { AUDIO, VIDEO } from "../effects.js";
import { freshName } from "../form.js";
import { openLab } from "../lab.js";

openLab({
  defaults: { interactionName: freshName("mirror"), userId: freshName("user"), audioFx: AUDIO[1].fx, videoFx: VIDEO[1].fx },
  fixed: { size: 1 },
  mounts: () => true,
});
