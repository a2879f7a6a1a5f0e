/* SPDX-License-Identifier: Apache-2.0 */
/* What an entry of `certificates` may be made of. */
#ifndef CARDEA_CONFIG_VERIFY_CERTIFICATES_H
#define CARDEA_CONFIG_VERIFY_CERTIFICATES_H

#include "config/config.h"
#include "config/report.h"

/* -1 with one error or more in the report. */
int verify_certificates(struct report *r, const struct config *c);

/* How records get into the DNS: what belongs to 'server' is there with it, and not without. `where` is the
 * key of the section that has the section 'dns'. -1 with one error or more in the report. */
int verify_dns(struct report *r, const struct config_dns *d, const char *where);

#endif
