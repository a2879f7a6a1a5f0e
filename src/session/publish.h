/* SPDX-License-Identifier: Apache-2.0 */
/* What the configuration wants of the HTTPS records (`ech.publish`), put into the words of the publisher. */
#ifndef CARDEA_SESSION_PUBLISH_H
#define CARDEA_SESSION_PUBLISH_H

#include "session/snapshot.h"

struct ech_publisher;

/* What is published is as that configuration says from now on. */
void publish_install(struct ech_publisher *publisher, const struct snapshot *snap);

#endif
