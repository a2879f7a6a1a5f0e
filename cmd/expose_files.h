/* SPDX-License-Identifier: Apache-2.0 */
/* The certificates, keys and CA files that `cardea expose` is told of. */
#ifndef CARDEA_CMD_EXPOSE_FILES_H
#define CARDEA_CMD_EXPOSE_FILES_H

#include "cmd/expose_options.h"

/* Those of one exposure. Each that is no good is told on standard error, with its place where a file names
 * it. True: all are good, or there are none. */
bool expose_files_of_service(const struct expose_options *o, size_t index);

/* The same for those that the door is shown, and believed by; the settings are complete. */
bool expose_files_of_door(const struct expose_options *o);

#endif
