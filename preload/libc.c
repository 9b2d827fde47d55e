/*
 * The real functions of libc, found once by dlsym. Constructors of other libraries may call in before ours has run, so
 * that whoever asks first looks them up.
 */
#include "preload.h"

#include <dlfcn.h>

struct libc libc_functions;
bool libc_known;

/* A data pointer of dlsym's becomes a function's without a cast that ISO C does not have. */
static void find(void *target, const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    __builtin_memcpy(target, &found, sizeof found);
}

struct libc *libc_find(void)
{
#define FIND(result, name, parameters) find(&libc_functions.name, #name);
    LIBC_FUNCTIONS(FIND)
#undef FIND
    __atomic_store_n(&libc_known, true, __ATOMIC_RELEASE);
    return &libc_functions;
}
