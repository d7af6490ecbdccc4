// The peak growth of a whole process is what the plan predicted. In a process of its own: this one has a device
// already.
#include <gtest/gtest.h>

#include <cstdio>

#include "tests/support/temp_dir.h"

namespace atlas {
namespace {

struct Growth {
    double planned = 0, overhead = 0, grown = 0;
};

Growth growth_of(const std::string& arguments) {
    const TempDir dir;
    const std::string command =
        std::string(ATLAS_BINARY_DIR) + "/tests/memory_growth " + dir.path().string() + " " + arguments;
    std::FILE* out = ::popen(command.c_str(), "r");
    EXPECT_NE(out, nullptr);
    Growth g;
    EXPECT_EQ(std::fscanf(out, "planned %lf of which overhead %lf grown %lf", &g.planned, &g.overhead, &g.grown), 3)
        << command;
    EXPECT_EQ(::pclose(out), 0) << command;
    return g;
}

// 110 to 330 MB each, with weights, cache and vocabulary each the largest part once.
TEST(MemoryGrowth, IsWithinTwoPercentOfThePlan) {
    for (const char* arguments :
         {"1536 5 32000 Q4_0 2048 f16", "1024 8 32000 Q8_0 1024 f16", "512 8 151936 Q8_0 1024 q8_0",
          "512 8 8000 Q8_0 32768 f16", "1024 4 8000 Q8_0 65536 q4_0"}) {
        growth_of(arguments);  // once, so that pipelines come from the cache: compiling takes more, once in a lifetime
        const Growth g = growth_of(arguments);
        RecordProperty(arguments, std::to_string(g.grown / g.planned));
        std::printf("%s: planned %.1f MB, grown %.1f MB (%+.2f %%): %.1f MB of %.1f MB overhead\n", arguments,
                    g.planned / 1e6, g.grown / 1e6, 100 * (g.grown / g.planned - 1),
                    (g.grown - g.planned + g.overhead) / 1e6, g.overhead / 1e6);
        EXPECT_GT(g.planned, 100e6) << arguments;
        EXPECT_NEAR(g.grown / g.planned, 1, 0.02) << arguments;
    }
}

}  // namespace
}  // namespace atlas
