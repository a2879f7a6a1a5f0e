/* SPDX-License-Identifier: Apache-2.0 */
/* What a file leaves out since it is said elsewhere in it. */
#ifndef CARDEA_CONFIG_COMPLETE_H
#define CARDEA_CONFIG_COMPLETE_H

#include "config/config.h"

/* Fill it in; names that refer to nothing are left to config_verify(). -1 when memory is out. */
int config_complete(struct config *c);

#endif
