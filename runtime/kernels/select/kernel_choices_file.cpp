#include "runtime/kernels/select/kernel_choices_file.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "runtime/base/atomic_file.h"
#include "runtime/base/small_file.h"
#include "shaders/kernel_table.h"

namespace atlas {

namespace {

using nlohmann::json;

constexpr int kSchema = 1;
constexpr size_t kMostBytes = 4 << 20;  // of a file that we read; ours are a thousand times smaller

/// A member that is a list of texts.
bool read_texts(const json& document, const char* name, std::set<std::string, std::less<>>& to) {
    const auto found = document.find(name);
    if (found == document.end() || !found->is_array()) return false;
    for (const json& item : *found) {
        if (!item.is_string()) return false;
        to.insert(item.get<std::string>());
    }
    return true;
}

bool read_preferred(const json& document, KernelChoices& to) {
    const auto found = document.find("preferred");
    if (found == document.end() || !found->is_object()) return false;
    for (const auto& [key, value] : found->items()) {
        if (!value.is_string()) return false;
        to.preferred[key] = value.get<std::string>();
    }
    return true;
}

std::string text_of(const json& document, const char* name) {
    const auto found = document.find(name);
    return found != document.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

// FNV-1a over 32-bit words: a change of any shader changes the digest. It need not resist an attacker.
std::string kernels_digest() {
    uint64_t hash = 0xcbf29ce484222325u;
    for (const KernelModule& module : kernel_modules()) {
        for (const uint32_t word : module.spirv) hash = (hash ^ word) * 0x100000001b3u;
    }
    return fmt::format("{:016x}", hash);
}

ChoicesOwner choices_owner(const vk::DeviceCaps& caps) {
    return {fmt::format("{} ({})", caps.name, caps.uuid_string()),
            fmt::format("{}, version {:#x}, {}", caps.driver_line(), caps.driver_version, caps.api_string()),
            kernels_digest()};
}

std::filesystem::path choices_file(const std::filesystem::path& folder, const vk::DeviceCaps& caps) {
    // Two drivers may show the same card under one UUID.
    return folder / fmt::format("{:04x}-{:04x}-{}-{}.json", caps.vendor_id, caps.device_id,
                                caps.uuid_string().substr(0, 8), caps.driver_id);
}

Result<StoredChoices> read_choices(const std::filesystem::path& path, const ChoicesOwner& owner) {
    ATLAS_TRY(const std::string text, read_small_file(path, kMostBytes));
    const json document = json::parse(text, nullptr, false);
    if (!document.is_object()) return fail(ErrorCode::corrupt, "{}: not a JSON object", path.string());
    if (const auto schema = document.find("schema"); schema == document.end() || *schema != kSchema) {
        return fail(ErrorCode::unsupported, "{}: written by another version of atlas-vk", path.string());
    }
    const ChoicesOwner found{text_of(document, "device"), text_of(document, "driver"), text_of(document, "build")};
    if (found != owner) {
        const char* what = found.device != owner.device   ? "device"
                           : found.driver != owner.driver ? "driver"
                                                          : "build of the kernels";
        return fail(ErrorCode::unsupported, "{}: is about another {}", path.string(), what);
    }
    StoredChoices stored;
    if (!read_preferred(document, stored.choices)) {
        return fail(ErrorCode::corrupt, "{}: preferred: expected an object of strings", path.string());
    }
    if (!read_texts(document, "rejected", stored.choices.rejected) || !read_texts(document, "tested", stored.tested)) {
        return fail(ErrorCode::corrupt, "{}: rejected, tested: expected lists of strings", path.string());
    }
    // Files of older versions have none.
    for (const auto& [name, to] :
         {std::pair("unfinished", &stored.unfinished), std::pair("ended_once", &stored.ended_once)}) {
        if (document.contains(name) && !read_texts(document, name, *to))
            return fail(ErrorCode::corrupt, "{}: {}: expected a list of strings", path.string(), name);
    }
    return stored;
}

Result<void> write_choices(const std::filesystem::path& path, const ChoicesOwner& owner, const StoredChoices& stored) {
    std::error_code error;
    std::filesystem::create_directories(path.parent_path(), error);
    if (error) return fail(ErrorCode::io, "{}: {}", path.parent_path().string(), error.message());
    const json document = {{"schema", kSchema},
                           {"device", owner.device},
                           {"driver", owner.driver},
                           {"build", owner.build},
                           {"preferred", stored.choices.preferred},
                           {"rejected", stored.choices.rejected},
                           {"tested", stored.tested},
                           {"unfinished", stored.unfinished},
                           {"ended_once", stored.ended_once}};
    ATLAS_TRY(AtomicFile file, AtomicFile::create(path));
    ATLAS_TRY_VOID(file.write(document.dump(1, ' ', false, json::error_handler_t::replace) + "\n"));
    return file.commit();
}

}  // namespace atlas
