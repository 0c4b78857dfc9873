#include "CSpawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>

// The first step that fails is what the caller hears of.
static int prepare(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes,
                   const char *directory, const int streams[3]) {
    int error = 0;
    if (directory != NULL) error = posix_spawn_file_actions_addchdir_np(actions, directory);
    for (int number = 0; number < 3 && error == 0; number++) {
        error = streams[number] < 0
                    ? posix_spawn_file_actions_addopen(actions, number, "/dev/null", O_RDWR, 0)
                    : posix_spawn_file_actions_adddup2(actions, streams[number], number);
    }
    if (error == 0) error = posix_spawn_file_actions_addclosefrom_np(actions, 3);
    // A thread of Dispatch, which blocks signals, would hand that down.
    sigset_t signals;
    sigemptyset(&signals);
    if (error == 0) error = posix_spawnattr_setsigmask(attributes, &signals);
    sigfillset(&signals);
    if (error == 0) error = posix_spawnattr_setsigdefault(attributes, &signals);
    if (error == 0) {
        error = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    }
    return error;
}

int cs_spawn(char *const *words, char *const *variables, const char *directory,
             const int streams[3]) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    pid_t pid = -1;
    int error = prepare(&actions, &attributes, directory, streams);
    if (error == 0) error = posix_spawnp(&pid, words[0], &actions, &attributes, words, variables);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (error == 0) return pid;
    errno = error;
    return -1;
}
