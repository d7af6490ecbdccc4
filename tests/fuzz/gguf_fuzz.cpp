// libFuzzer target: any bytes must end in an error or in a file whose every tensor and key can be read.
//   build-asan/tests/fuzz/gguf_fuzz -max_total_time=180 -rss_limit_mb=2048 CORPUS_FOLDER
// With --seeds FOLDER as the only arguments it writes the starting corpus there instead.
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "runtime/gguf/reader.h"
#include "tests/gguf/mutations.h"

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
    if (*argc != 3 || std::strcmp((*argv)[1], "--seeds") != 0) return 0;
    const std::filesystem::path folder = (*argv)[2];
    std::filesystem::create_directories(folder);
    int number = 0;
    for (const auto& bytes : atlas::gguf::testing::right_files()) {
        std::ofstream out(folder / ("seed-" + std::to_string(number++)), std::ios::binary);
        out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    }
    std::exit(0);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace atlas::gguf;
    const auto file = File::parse({reinterpret_cast<const std::byte*>(data), size}, "fuzz");
    if (!file) {
        if (file.error().message.size() > 1000) std::abort();
        return 0;
    }
    volatile uint64_t sum = 0;
    for (const TensorInfo& tensor : file->tensors()) {
        for (const std::byte b : file->data(tensor)) sum = sum + static_cast<uint64_t>(b);
        if (file->find_tensor(tensor.name) != &tensor) std::abort();
    }
    for (const KeyValue& entry : file->key_values()) {
        if (file->find(entry.key) != &entry) std::abort();
        sum = sum + file->u32_or(entry.key, 0) + file->string_or(entry.key, "").size();
        if (const auto numbers = file->integers(entry.key)) sum = sum + numbers->size();
    }
    return 0;
}
