// SPDX-License-Identifier: MPL-2.0

import { checked, freshName } from "../form.js";
import { openLab } from "../lab.js";

void openLab({
  defaults: () => ({ interactionName: "demo", userId: freshName("user") }),
  mounts: (form) => checked(form, "mount"),
  others: true,
});
