#pragma once
// How much context a model gets on the open device, and whether a draft has room beside it.

#include <memory>
#include <string>

#include "runtime/kernels/vk_backend.h"
#include "runtime/planner/context.h"
#include "tools/model_flags.h"

namespace atlas::tools {

/// How much context the file gets on the backend, beside a draft if there is one. Fails: as choose_context.
Result<ContextChoice> fit_context(const gguf::File& file, const VkBackend& backend, const SessionShape& shape,
                                  const std::string& keep_free, const gguf::File* draft = nullptr);

/// The same, told on stderr: the length where it was chosen here; where it was requested, only that it is another or
/// too long. `measures`: the command takes as much of the context as it was told to, whatever its length. With --draft
/// auto (`auto_draft`), a draft without room is dropped: `draft` is null then.
Result<ContextChoice> fit_context(const gguf::File& file, const VkBackend& backend, const SessionShape& shape,
                                  const ModelFlags& flags, std::unique_ptr<gguf::File>& draft, bool auto_draft,
                                  bool measures);

/// Warns on stderr if a cache of these formats hurts this model.
Result<void> warn_of_cache(const gguf::File& file, const KvFormats& kv);

}  // namespace atlas::tools
