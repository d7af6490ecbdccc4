// libFuzzer target: any bytes must end in an error that leaves the pool as it was, or in a timeline that goes on and
// leaks nothing.
//   build-asan/tests/fuzz/snapshot_fuzz -max_total_time=180 -rss_limit_mb=2048 CORPUS_FOLDER
// With --seeds FOLDER as the only arguments it writes the starting corpus there instead. The checksum is corrected
// before each try.
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "tests/session/snapshot_trial.h"

namespace {

atlas::testing::SnapshotTrial& trial() {
    static atlas::testing::SnapshotTrial it;
    return it;
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
    if (*argc != 3 || std::strcmp((*argv)[1], "--seeds") != 0) return 0;
    const std::filesystem::path folder = (*argv)[2];
    std::filesystem::create_directories(folder);
    int number = 0;
    for (const auto& bytes : trial().right_snapshots()) {
        std::ofstream out(folder / ("seed-" + std::to_string(number++)), std::ios::binary);
        out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    }
    std::exit(0);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const auto* first = reinterpret_cast<const std::byte*>(data);
    std::vector<std::byte> bytes(first, first + size);
    atlas::testing::seal_snapshot(bytes);
    (void)trial().attempt(bytes);
    return 0;
}
