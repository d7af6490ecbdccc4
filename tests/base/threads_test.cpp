#include "runtime/base/threads.h"

#include <gtest/gtest.h>

#include <atomic>
#include <new>

namespace atlas {
namespace {

TEST(OnThreads, AllOfThemWork) {
    for (const uint32_t n : {1u, 2u, 7u}) {
        std::atomic<uint32_t> calls{0};
        on_threads(n, [&] { ++calls; });
        EXPECT_EQ(calls, n);
    }
}

TEST(OnThreads, WhatAnyOfThemThrowsIsThrownHereAfterAllHaveEnded) {
    std::atomic<int> calls{0}, ended{0};
    const auto work = [&] {
        if (++calls == 2) throw std::bad_alloc();
        ++ended;
    };
    EXPECT_THROW(on_threads(4, work), std::bad_alloc);
    EXPECT_EQ(calls, 4);
    EXPECT_EQ(ended, 3);
}

}  // namespace
}  // namespace atlas
