#include "CLinuxProcess.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/perf_event.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char **environ;

// What a service manager says to one process is not for its children.
static int is_inherited(const char *variable) {
    static const char *const own[] = {
        "LISTEN_PID=", "LISTEN_FDS=", "LISTEN_FDNAMES=", "NOTIFY_SOCKET=", "RUNTIME_DIRECTORY=",
        "WATCHDOG_PID=", "WATCHDOG_USEC="};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strncmp(variable, own[i], strlen(own[i])) == 0) return 0;
    return 1;
}

// Our environment without the service manager's words, and these two. Freed with free().
static char **environment(char *listen_fds, char *listen_pid) {
    size_t count = 0;
    while (environ && environ[count]) count++;
    char **result = calloc(count + 3, sizeof *result);
    if (!result) return NULL;
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (is_inherited(environ[i])) result[kept++] = environ[i];
    result[kept++] = listen_fds;
    result[kept] = listen_pid;
    return result;
}

// The child's part between fork and exec: only calls that are safe there.
static void become(int32_t listener) {
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0 || dup2(null, 0) < 0 || dup2(2, 1) < 0) return;
    // dup2 onto itself would leave close-on-exec set.
    if (listener == 3 ? fcntl(3, F_SETFD, 0) < 0 : dup2(listener, 3) < 0) return;
    setsid();
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    errno = 0;
}

int32_t cl_spawn_listener(const char *program, char *const *arguments, int32_t listener) {
    char listen_fds[] = "LISTEN_FDS=1", listen_pid[32];
    char **variables = environment(listen_fds, listen_pid);
    if (!variables) return -1;
    // vfork: the child writes its own number into our memory, and errno where exec fails.
    volatile int failure = 0;
    pid_t child = vfork();
    if (child == 0) {
        errno = 0;
        become(listener);
        if (errno == 0) {
            snprintf(listen_pid, sizeof listen_pid, "LISTEN_PID=%d", (int)getpid());
            execve(program, arguments, variables);
        }
        failure = errno;
        _exit(127);
    }
    int saved = errno;
    free(variables);
    if (child < 0) {
        errno = saved;
        return -1;
    }
    if (failure != 0) {
        errno = failure;
        return -1;
    }
    return child;
}

int32_t cl_open_standard_streams(void) {
    for (int stream = 0; stream < 3; stream++) {
        if (fcntl(stream, F_GETFD) >= 0) continue;
        // The lowest number that is free is this one.
        if (open("/dev/null", O_RDWR) != stream) return -1;
    }
    return 0;
}

int32_t cl_daemonize(void) {
    // Some callers see the end of what they have started by what it holds open.
    close_range(3, UINT_MAX, 0);
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) return -1;
    pid_t child = fork();
    if (child < 0) {
        int saved = errno;
        close(ends[0]);
        close(ends[1]);
        errno = saved;
        return -1;
    }
    if (child > 0) {
        close(ends[1]);
        char byte;
        ssize_t count;
        do count = read(ends[0], &byte, 1);
        while (count < 0 && errno == EINTR);
        _exit(count == 1 ? 0 : 1);
    }
    close(ends[0]);
    setsid();
    // Whoever leads a session gets the first terminal that it opens.
    pid_t last = fork();
    if (last < 0) return -1;
    if (last > 0) _exit(0);
    return ends[1];
}

int32_t cl_detach(int32_t waiting) {
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0) return -1;
    for (int stream = 0; stream < 3; stream++)
        if (dup2(null, stream) < 0) return -1;
    if (null > 2) close(null);
    if (chdir("/") < 0) return -1;
    ssize_t count = write(waiting, "", 1);
    close(waiting);
    return count == 1 ? 0 : -1;
}

int32_t cl_count_tracepoint(uint64_t number) {
    struct perf_event_attr what = {
        .type = PERF_TYPE_TRACEPOINT, .size = sizeof what, .config = number, .inherit = 1};
    return (int32_t)syscall(SYS_perf_event_open, &what, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

void cl_use_one_arena(void) { mallopt(M_ARENA_MAX, 1); }
