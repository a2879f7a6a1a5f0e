/* SPDX-License-Identifier: Apache-2.0 */
/* `serve: redirect`: who came without TLS is sent to the same host and path with it. */
#ifndef CARDEA_WEB_REDIRECT_H
#define CARDEA_WEB_REDIRECT_H

#include "web/service.h"

extern const struct web_service web_redirect;

#endif
