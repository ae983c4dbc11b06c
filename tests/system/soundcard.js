// SPDX-License-Identifier: MPL-2.0

/** A sound card for programs that do nothing without one (Firefox runs no AudioContext then): it plays into the void. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { access, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "./until.js";

/** Where PulseAudio is; Debian's by default. */
const EXECUTABLE = process.env.PULSEAUDIO ?? "/usr/bin/pulseaudio";

/**
 * Starts one.
 * @returns {Promise<{environment: Record<string, string>, close: () => Promise<void>}>} the environment of
 *   those who shall use it
 */
export async function openSoundCard() {
  const home = await mkdtemp(join(tmpdir(), "ducksoup-sound-"));
  const socket = join(home, "socket");
  const server = spawn(
    EXECUTABLE,
    [
      ...["-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--disable-shm=yes"],
      ...["-L", "module-null-sink", "-L", `module-native-protocol-unix socket=${socket} auth-anonymous=1`],
    ],
    { stdio: "ignore", env: { ...process.env, HOME: home, XDG_RUNTIME_DIR: home } },
  );
  const ended = once(server, "exit");
  // Who waits for the socket tells what is wrong.
  ended.catch(() => {});
  const close = async () => {
    server.kill("SIGKILL");
    await ended.catch(() => {});
    await rm(home, { recursive: true, force: true });
  };
  try {
    await until(`${EXECUTABLE} has a socket`, () => access(socket).then(() => true));
  } catch (error) {
    await close();
    throw error;
  }
  return { environment: { PULSE_SERVER: `unix:${socket}` }, close };
}
