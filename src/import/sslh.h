/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARDEA_IMPORT_SSLH_H
#define CARDEA_IMPORT_SSLH_H

#include "import/libconfig.h"

/* A command line as settings. NULL with im->err. */
struct libconfig_value *sslh_from_args(struct import *im, int argc, const char *const *argv);

#endif
