#include "runtime/gguf/stream.h"

#include <algorithm>

#include "runtime/base/check.h"
#include "runtime/base/in_quotes.h"
#include "runtime/gguf/intact.h"

namespace atlas::gguf {

Result<void> stream_tensor(const File& file, const TensorInfo& tensor, const TakeChunk& take,
                           const StreamOptions& options) {
    ATLAS_CHECK(options.chunk_bytes > 0, "a stream needs chunks");
    if (!tensor.format) {
        return fail(ErrorCode::unsupported, "tensor {}: its type {} is not one this build can read",
                    in_quotes(tensor.name), tensor.gguf_type);
    }
    const auto data = file.data(tensor);
    for (uint64_t at = 0; at < data.size(); at += options.chunk_bytes) {
        const uint64_t bytes = std::min<uint64_t>(options.chunk_bytes, data.size() - at);
        // One chunk further ahead with each chunk: asking again for what is already on its way costs time.
        file.prefetch(tensor, at + options.ahead_bytes, bytes);
        if (auto there = file.populate(tensor, at, bytes); !there) {
            return fail_in(fmt::format("tensor {} at byte {}", in_quotes(tensor.name), at), std::move(there).error());
        }
        auto taken = take(at, data.subspan(at, bytes));
        file.release(tensor, at, bytes);
        ATLAS_TRY_VOID(check_intact(file, tensor));  // before the chunk's own error: it may come from the zeros
        if (!taken) return taken;
    }
    return {};
}

}  // namespace atlas::gguf
