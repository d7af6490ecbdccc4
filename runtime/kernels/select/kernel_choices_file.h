#pragma once
// What the self-test and tuning found about a device's kernels, on disk: one small JSON file per device, valid only for
// this driver and this build of the kernels.

#include <filesystem>
#include <set>
#include <string>

#include "runtime/base/error.h"
#include "runtime/kernels/select/matmul_variant.h"

namespace atlas {

/// The device, driver and build that the verdicts hold for. Another driver or other shaders may behave differently, so
/// nothing is carried over.
struct ChoicesOwner {
    std::string device;  // name and UUID
    std::string driver;  // name and version
    std::string build;   // of the shaders
    bool operator==(const ChoicesOwner&) const = default;
};
ChoicesOwner choices_owner(const vk::DeviceCaps& caps);
/// Digest of every SPIR-V module of this program.
std::string kernels_digest();

struct StoredChoices {
    KernelChoices choices;                      // `preferred` and `rejected` are kept
    std::set<std::string, std::less<>> tested;  // rejection keys that the self-test has seen, right or wrong
    // Those whose self-test did not finish, twice or by a loss of the device: a hang or a crash.
    std::set<std::string, std::less<>> unfinished;
    std::set<std::string, std::less<>> ended_once;  // a process ended during their self-test, perhaps killed
};

/// The file of a device in a folder: "<vendor>-<device>-<part of the UUID>.json".
std::filesystem::path choices_file(const std::filesystem::path& folder, const vk::DeviceCaps& caps);

/// Fails: not_found (no such file), io, corrupt (not what we write: names what), unsupported (of another device, driver
/// or build: names it).
Result<StoredChoices> read_choices(const std::filesystem::path& path, const ChoicesOwner& owner);

/// Writes beside the file and renames. Makes the folder. Fails: io.
Result<void> write_choices(const std::filesystem::path& path, const ChoicesOwner& owner, const StoredChoices& stored);

}  // namespace atlas
