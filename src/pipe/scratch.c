/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "pipe/pipe.h"

#define SCRATCH_SIZE (96 * 1024)

/* A pipe(7) has a place for each page, or piece of one, that it holds, and a segment off the network fills no
 * page: with the 16 places that it has by itself splicing costs as much as copying. */
#define KERNEL_PIPE_SIZE (512 * 1024)

/* False where splice(2) is not to be had: told apart by an error that only it can give. */
static bool may_splice(const int fd[2])
{
    return splice(fd[0], NULL, fd[1], NULL, 1, SPLICE_F_NONBLOCK) < 0 && errno == EINVAL;
}

static void close_kernel_pipe(struct pipe_scratch *scratch)
{
    for (int i = 0; i < 2; i++) {
        if (scratch->kernel_pipe[i] >= 0)
            close(scratch->kernel_pipe[i]);
        scratch->kernel_pipe[i] = -1;
    }
}

void pipe_scratch_init(struct pipe_scratch *scratch, bool splices)
{
    *scratch = (struct pipe_scratch){malloc(SCRATCH_SIZE), SCRATCH_SIZE, {-1, -1}};
    CHECK(scratch->data != NULL);
    int *fd = scratch->kernel_pipe;
    if (!splices || pipe2(fd, O_NONBLOCK | O_CLOEXEC) != 0)
        return;
    if (fcntl(fd[0], F_SETPIPE_SZ, KERNEL_PIPE_SIZE) < 0 || !may_splice(fd))
        close_kernel_pipe(scratch);
}

void pipe_scratch_free(struct pipe_scratch *scratch)
{
    close_kernel_pipe(scratch);
    free(scratch->data);
    scratch->data = NULL;
}
