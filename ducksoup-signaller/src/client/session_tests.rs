// SPDX-License-Identifier: MPL-2.0

use super::*;
