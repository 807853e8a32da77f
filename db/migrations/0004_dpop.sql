-- The key that a session is bound to, as its RFC 7638 thumbprint: refreshes and access tokens then count with a proof by
-- this key alone (RFC 9449). Set at the sign-in and never after; null where any holder of the tokens counts.
alter table session add column dpop_jkt text check (length(dpop_jkt) = 43);
