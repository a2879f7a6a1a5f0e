/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "cmd/quickstart.h"
#include "cmd/shell.h"

#define TRIAL_NS (5 * NSEC_PER_SEC)
#define NEXT_LINE " \\\n      "

/* ---- words of a shell ---- */

/* Append the path of a file of the folder; one that could pass for an option begins with "./". */
static void put_file(struct buf *b, const struct quickstart_place *place, const char *name)
{
    char *path = quickstart_path(place->dir, name);
    struct buf whole = {0};
    CHECK(buf_printf(&whole, "%s%s", *path == '-' ? "./" : "", path));
    shell_put_word(b, buf_text(&whole));
    buf_free(&whole);
    free(path);
}

/* The program that a shell finds under that name, in a new string; NULL: none. */
static char *find_program(const char *name)
{
    const char *path = getenv("PATH");
    char *copy = path == NULL ? NULL : strdup(path), *rest = copy, *found = NULL;
    for (char *dir; found == NULL && (dir = strsep(&rest, ":")) != NULL;) {
        char *file = quickstart_path(*dir == '\0' ? "." : dir, name);
        if (access(file, X_OK) == 0)
            found = file;
        else
            free(file);
    }
    free(copy);
    return found;
}

/* Would the shell find this very program as `cardea`? */
static bool is_in_path(const char *self)
{
    char *file = find_program("cardea"), *real = file == NULL ? NULL : realpath(file, NULL);
    bool found = real != NULL && strcmp(real, self) == 0;
    free(real);
    free(file);
    return found;
}

static bool is_here(const char *name)
{
    char *file = find_program(name);
    free(file);
    return file != NULL;
}

/* Append this program as a shell can call it from here. */
static void put_self(struct buf *b)
{
    char *self = realpath("/proc/self/exe", NULL), *here = realpath(".", NULL);
    size_t n = here == NULL ? 0 : strlen(here);
    if (self == NULL || is_in_path(self))
        shell_put_word(b, "cardea");
    else if (n > 1 && strncmp(self, here, n) == 0 && self[n] == '/' && strchr(self + n + 1, '/') != NULL)
        shell_put_word(b, self + n + 1);
    else
        shell_put_word(b, self);
    free(self);
    free(here);
}

/* ---- what works here ---- */

/* Run a program without input and output; true when it ends well in time. */
static bool works(char *const argv[])
{
    posix_spawn_file_actions_t files;
    pid_t pid;
    int status = -1;
    posix_spawn_file_actions_init(&files);
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        posix_spawn_file_actions_addopen(&files, fd, "/dev/null", O_RDWR, 0);
    int code = posix_spawnp(&pid, argv[0], &files, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    if (code != 0)
        return false;
    int64_t deadline = clock_monotonic() + TRIAL_NS;
    pid_t ended;
    while ((ended = waitpid(pid, &status, WNOHANG)) == 0 && clock_monotonic() < deadline)
        nanosleep(&(struct timespec){.tv_nsec = 10 * NSEC_PER_MSEC}, NULL);
    if (ended == 0) {
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        return false;
    }
    return ended == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Can the user log in to this machine without being asked anything? Also through a tunnel, then: to ssh it is
 * the same host. */
static bool ssh_works(void)
{
    char *const argv[] = {(char[]){"ssh"},
                          (char[]){"-oBatchMode=yes"},
                          (char[]){"-oConnectTimeout=3"},
                          (char[]){"localhost"},
                          (char[]){"true"},
                          NULL};
    return works(argv);
}

/* The same of PostgreSQL; a saved password does not count, for it would be looked up by port. */
static bool psql_works(void)
{
    char *const argv[] = {(char[]){"env"},
                          (char[]){"PGPASSFILE=/dev/null"},
                          (char[]){"psql"},
                          (char[]){"-wXAtc"},
                          (char[]){"select 1"},
                          (char[]){"host=127.0.0.1 port=5432 dbname=postgres connect_timeout=3"},
                          NULL};
    return works(argv);
}

/* ---- the commands ---- */

/* A proxy that the environment prescribes must not come between curl and the door. */
static void put_curl(struct buf *b, bool direct)
{
    static const char *const proxies[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};
    static const char *const exceptions[] = {"no_proxy", "NO_PROXY"};
    const char *const *names = direct ? proxies : exceptions;
    size_t n = direct ? ARRAY_LEN(proxies) : ARRAY_LEN(exceptions);
    buf_printf(b, "  curl");
    for (size_t i = 0; i < n; i++) {
        const char *value = getenv(names[i]);
        if (value == NULL || *value == '\0')
            continue;
        buf_printf(b, direct ? " --noproxy '*'" : " --noproxy ''");
        return;
    }
}

/* Through the route "web". */
static void put_web(struct buf *b, const struct quickstart_place *place)
{
    put_curl(b, true);
    buf_printf(b, " --cacert ");
    put_file(b, place, "ca.pem");
    buf_printf(b, " https://localhost:%u/\n", place->port);
}

/* Through the route "tunnel", with HTTP CONNECT. */
static void put_proxy(struct buf *b, const struct quickstart_place *place)
{
    put_curl(b, false);
    /* By address it would reach the CA's pages, which take who asks for no name. */
    buf_printf(b, " --proxytunnel --proxy https://%s:%u --proxy-cacert ",
               place->challenge != 0 ? QUICKSTART_TUNNEL_NAME : "127.0.0.1", place->port);
    put_file(b, place, "ca.pem");
    buf_printf(b, NEXT_LINE "--proxy-cert ");
    put_file(b, place, "client.pem");
    buf_printf(b, " --proxy-key ");
    put_file(b, place, "client.key");
    buf_printf(b, " http://%s/\n", place->welcome);
}

/* `cardea connect` up to the target, on one line or more. */
static void put_connect(struct buf *b, const struct quickstart_place *place, const char *between)
{
    put_self(b);
    buf_printf(b, " connect --door 127.0.0.1:%u --ca ", place->port);
    put_file(b, place, "ca.pem");
    buf_printf(b, "%s--cert ", between);
    put_file(b, place, "client.pem");
    buf_printf(b, " --key ");
    put_file(b, place, "client.key");
}

/* The same through the tunnel with the door's own protocol, for those who have neither ssh nor psql. */
static void put_plain_connect(struct buf *b, const struct quickstart_place *place)
{
    buf_printf(b, "  printf 'GET / HTTP/1.0\\r\\n\\r\\n' |" NEXT_LINE);
    put_connect(b, place, NEXT_LINE);
    buf_printf(b, " %s\n", place->welcome);
}

/* ssh through the tunnel. To ssh a '%' in the command is written twice. */
static void put_ssh(struct buf *b, const struct quickstart_place *place)
{
    struct buf command = {0}, option = {0};
    put_connect(&command, place, " ");
    buf_printf(&option, "ProxyCommand=");
    for (size_t i = 0; i < command.len; i++) {
        buf_append(&option, "%", command.data[i] == '%');
        buf_append(&option, command.data + i, 1);
    }
    buf_printf(&option, " %%h:%%p");
    buf_printf(b, "  ssh -o" NEXT_LINE);
    shell_put_word(b, buf_text(&option));
    buf_printf(b, NEXT_LINE "localhost uname -a\n");
    buf_free(&command);
    buf_free(&option);
}

/* Through the route "postgres". */
static void put_psql(struct buf *b, const struct quickstart_place *place)
{
    struct buf info = {0};
    char *ca = quickstart_path(place->dir, "ca.pem");
    buf_printf(&info, "host=localhost port=%u dbname=postgres sslmode=verify-full sslrootcert='",
               place->port);
    for (const char *p = ca; *p != '\0'; p++) {
        buf_append(&info, "\\", *p == '\'' || *p == '\\');
        buf_append(&info, p, 1);
    }
    buf_append(&info, "'", 1);
    buf_printf(b, "  psql -c 'select version()'" NEXT_LINE);
    shell_put_word(b, buf_text(&info));
    buf_append(b, "\n", 1);
    free(ca);
    buf_free(&info);
}

/* ---- the CA ---- */

/* A certificate by ACME, with what there is; else what there is to be had. */
static void put_certbot(struct buf *b, const struct quickstart_place *place)
{
    static const char *const folders[][2] = {
        {"config", "certbot"}, {"work", "certbot/work"}, {"logs", "certbot/logs"}};
    buf_printf(b, "  env REQUESTS_CA_BUNDLE=");
    put_file(b, place, "ca.pem");
    buf_printf(
        b,
        " NO_PROXY='*' certbot certonly -n --agree-tos --register-unsafely-without-email" NEXT_LINE
        "--server https://127.0.0.1:%u/acme/directory --standalone --http-01-port %u -d localhost" NEXT_LINE,
        place->port, place->challenge);
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        buf_printf(b, "%s--%s-dir ", i == 0 ? "" : " ", folders[i][0]);
        put_file(b, place, folders[i][1]);
    }
    buf_append(b, "\n", 1);
}

static void put_lego(struct buf *b, const struct quickstart_place *place)
{
    buf_printf(b, "  env LEGO_CA_CERTIFICATES=");
    put_file(b, place, "ca.pem");
    buf_printf(
        b,
        " NO_PROXY='*' lego --accept-tos --email admin@localhost" NEXT_LINE
        "--server https://127.0.0.1:%u/acme/directory --http --http.port 127.0.0.1:%u -d localhost" NEXT_LINE
        "--path ",
        place->port, place->challenge);
    put_file(b, place, "lego");
    buf_printf(b, " run\n");
}

static void put_directory(struct buf *b, const struct quickstart_place *place)
{
    put_curl(b, true);
    buf_printf(b, " --cacert ");
    put_file(b, place, "ca.pem");
    buf_printf(b, " https://127.0.0.1:%u/acme/directory\n", place->port);
}

/* Somebody who may log in. */
static void put_account(struct buf *b, const struct quickstart_place *place)
{
    buf_printf(b, "  ");
    put_self(b);
    buf_printf(b, " ca user add alice --group " QUICKSTART_GROUP " --dir ");
    put_file(b, place, QUICKSTART_CA);
    buf_printf(b, "\nWith the CODE that it shows, alice sets a password and logs in:\n");
    put_self(b);
    buf_printf(b, " login --ca ");
    put_file(b, place, "ca.pem");
    buf_printf(b, " --register CODE alice@" QUICKSTART_CA_NAME ":%u\n", place->port);
}

static void put_ca(struct buf *b, const struct quickstart_place *place)
{
    (is_here("certbot") ? put_certbot : is_here("lego") ? put_lego : put_directory)(b, place);
    buf_append(b, "\n", 1);
    put_account(b, place);
    buf_append(b, "\n", 1);
}

/* What the door has seen of it. */
static void put_status(struct buf *b, const struct quickstart_place *place)
{
    buf_printf(b, "  ");
    put_self(b);
    buf_printf(b, " status");
    if (place->socket != NULL) {
        buf_printf(b, " --socket ");
        shell_put_word(b, place->socket);
    }
    buf_append(b, "\n", 1);
}

void quickstart_commands(const struct quickstart_place *place, struct buf *ret)
{
    put_web(ret, place);
    buf_append(ret, "\n", 1);
    (ssh_works() ? put_ssh : put_proxy)(ret, place);
    buf_append(ret, "\n", 1);
    (psql_works() ? put_psql : put_plain_connect)(ret, place);
    buf_append(ret, "\n", 1);
    if (place->challenge != 0)
        put_ca(ret, place);
    put_status(ret, place);
}
