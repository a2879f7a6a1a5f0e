/* SPDX-License-Identifier: Apache-2.0 */
/* `serve: [login]`: logins among the door's own pages, with the CA of its configuration. */
#ifndef CARDEA_LOGIN_SERVICE_H
#define CARDEA_LOGIN_SERVICE_H

#include "base/err.h"
#include "login/login.h"
#include "web/service.h"

struct authority;
struct ear;
struct login_service;

/* One that turns requests away until it has a CA. What goes wrong here is told to `operator`, which is
 * copied. Never NULL. */
struct login_service *login_service_new(const struct ear *operator);
void login_service_free(struct login_service *s); /* NULL is allowed */

/* For the door; lives as long as `s`. */
struct web_service login_service_web(struct login_service *s);

/* Open the accounts of the CA in `dir`; before the door begins. Certificates are issued by `a`, which is
 * unlocked, lives longer than `s` and belongs to the office's thread from now on. -1 with `err`. */
int login_service_open(struct login_service *s, struct authority *a, const char *dir,
                       const struct login_settings *settings, struct err *err);

/* Go by these from now on, on the office's thread or while there is none. It is open. */
void login_service_take(struct login_service *s, struct authority *a, const struct login_settings *settings);

#endif
