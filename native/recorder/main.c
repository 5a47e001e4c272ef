// SPDX-License-Identifier: Apache-2.0
// heaptide-record: keeps the captures of the programs whose agents register with it. See options.c for its forms.
#define _GNU_SOURCE
#include "command.h"
#include "detach.h"
#include "listen.h"
#include "order.h"
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

// Started by an agent that was preloaded alone, which cannot be told anything: what goes wrong ends up nowhere.
static int follow(const struct options *options) {
    int keep[] = {options->listen_fd};
    struct output output;
    say_nothing();
    null_descriptors(0, 2);
    close_others(keep, 1);
    fcntl(options->listen_fd, F_SETFL, O_NONBLOCK);
    fcntl(options->listen_fd, F_SETFD, FD_CLOEXEC);
    if (!output_init(&output, options->output) && output.dir < 0) return STATUS_OURS;
    detach();
    struct server_setup setup = {.options = options,
                                 .output = &output,
                                 .listen_fd = options->listen_fd,
                                 .program = options->program,
                                 .control_fd = -1};
    server_run(&setup);
    output_deinit(&output);
    return 0;
}

static int serve(const struct options *options) {
    int keep[] = {options->control_fd, options->clock_fd};
    char address[ADDRESS_BYTES];
    struct output output;
    close_others(keep, 2);
    if (options->control_fd >= 0) fcntl(options->control_fd, F_SETFD, FD_CLOEXEC);
    if (!output_init(&output, options->output)) {
        say("cannot write to %s: %s", output_place(&output), strerror(errno));
        return STATUS_OURS;
    }
    int listen_fd = listen_at_random(address);
    if (listen_fd < 0) {
        say("no socket to listen at: %s", strerror(errno));
        return STATUS_OURS;
    }
    detach();
    printf("address %s\n", address);
    if (fflush(stdout)) return STATUS_OURS;
    say_nothing();
    null_descriptors(0, 0);
    null_descriptors(options->control_fd >= 0 ? 1 : 2, 2);
    struct server_setup setup = {.options = options,
                                 .output = &output,
                                 .listen_fd = listen_fd,
                                 .address = address,
                                 .program = options->program,
                                 .control_fd = options->control_fd};
    server_run(&setup);
    output_deinit(&output);
    return 0;
}

int main(int argc, char **argv) {
    struct options options;
    int status = options_init(&options, argc, argv);
    if (status < 0 && options.form == FORM_FOLLOW) status = follow(&options);
    if (status < 0 && options.form == FORM_SERVE) status = serve(&options);
    if (status < 0 && options.form == FORM_ORDER) status = order_send(&options);
    if (status < 0 && options.form == FORM_COMMAND) status = command_run(&options);
    options_deinit(&options);
    return status;
}
