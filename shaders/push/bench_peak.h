#ifndef ATLAS_PUSH_BENCH_PEAK_H
#define ATLAS_PUSH_BENCH_PEAK_H
#include "shaders/push/push.h"

// n: 16-byte words to read (peak_read), or rounds (peak_fma, peak_coopmat). zero is 0, which the compiler does not know.
ATLAS_PUSH_BEGIN(BenchPeakPush)
    uint n;
    uint zero;
ATLAS_PUSH_END(BenchPeakPush)

#endif
