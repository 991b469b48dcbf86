-- Health of a LeakReport for Argo CD. A report is a finding, and no part of what an application declares: it is Healthy
-- as an object whatever it says about the service, so that a leak does not mark the application Degraded.
if obj.status ~= nil and obj.status.phase ~= nil then
  return { status = "Healthy", message = "Phase " .. obj.status.phase }
end
return { status = "Healthy", message = "Reported" }
