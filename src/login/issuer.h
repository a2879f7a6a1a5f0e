/* SPDX-License-Identifier: Apache-2.0 */
/* Logins whose certificates the private CA issues. */
#ifndef CARDEA_LOGIN_ISSUER_H
#define CARDEA_LOGIN_ISSUER_H

#include "login/login.h"

struct authority;

/* `a` is borrowed, has to be unlocked, and may be used by others of the same thread in between. */
struct login_issuer login_issuer_of(struct authority *a);

#endif
