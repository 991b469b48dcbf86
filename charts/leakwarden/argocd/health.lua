-- Health of a ReliabilityPolicy or a ClusterReliabilityPolicy for Argo CD. A leak that was found is not a broken policy: what counts here is
-- whether the policy is understood and in force, so that a leaking service does not mark the application Degraded.
local health = { status = "Progressing", message = "Waiting for Leakwarden to report" }

if obj.spec ~= nil and obj.spec.suspend == true then
  return { status = "Suspended", message = "spec.suspend is true" }
end
if obj.status == nil or obj.status.conditions == nil then
  return health
end
if obj.status.observedGeneration ~= nil and obj.status.observedGeneration ~= obj.metadata.generation then
  health.message = "Waiting for Leakwarden to observe the latest change"
  return health
end

local ready
for _, condition in ipairs(obj.status.conditions) do
  if condition.type == "Stalled" and condition.status == "True" then
    return { status = "Degraded", message = condition.message }
  end
  if condition.type == "Ready" then
    ready = condition
  end
end
if ready ~= nil then
  health.message = ready.message
  if ready.status == "True" then
    health.status = "Healthy"
  end
end
return health
