#include "CLinuxSignal.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

// The eventfd of each signal plus one; 0 means none yet. The handler may run on any thread at any
// moment, so a descriptor is never closed and never replaced.
static _Atomic int32_t reports[65];

static void report(int number) {
    int saved = errno;
    uint64_t one = 1;
    ssize_t written = write(atomic_load(&reports[number]) - 1, &one, sizeof one);
    (void)written;  // It fails only at 2^64 - 2 unread signals.
    errno = saved;
}

static int32_t act(int32_t number, void (*handler)(int)) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    return sigaction(number, &action, NULL);
}

int32_t cl_signal_report(int32_t number) {
    if (number < 1 || number > 64) {
        errno = EINVAL;
        return -1;
    }
    int32_t known = atomic_load(&reports[number]);
    if (known == 0) {
        int32_t made = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (made < 0) return -1;
        if (atomic_compare_exchange_strong(&reports[number], &known, made + 1)) {
            known = made + 1;
        } else {
            close(made);
        }
    }
    if (act(number, report) != 0) return -1;
    // Whoever started this process may have blocked the signal: exec hands that down.
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    errno = pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    return errno == 0 ? known - 1 : -1;
}

int32_t cl_signal_default(int32_t number) { return act(number, SIG_DFL); }

int32_t cl_signal_ignore(int32_t number) { return act(number, SIG_IGN); }
