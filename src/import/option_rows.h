/* SPDX-License-Identifier: Apache-2.0 */
/* What the rows of tables/import_*.def are as an array of struct option_row. */
#ifndef CARDEA_IMPORT_OPTION_ROWS_H
#define CARDEA_IMPORT_OPTION_ROWS_H

#include "import/setting.h"

/* clang-format off */
#define TAKEN(name, flags) {name, flags, FATE_TAKEN, NULL},
#define NEEDLESS(name, flags, why) {name, flags, FATE_NEEDLESS, why},
#define MISSING(name, flags, instead) {name, flags, FATE_MISSING, instead},
/* clang-format on */
#define MANY OPTION_MANY

#endif
