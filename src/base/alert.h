/* SPDX-License-Identifier: Apache-2.0 */
/* The alerts of TLS (RFC 8446, 6) by name. */
#ifndef CARDEA_BASE_ALERT_H
#define CARDEA_BASE_ALERT_H

enum alert {
#define X(NAME, name, code) ALERT_##NAME = (code),
#include "tables/alerts.def"
#undef X
};

#endif
